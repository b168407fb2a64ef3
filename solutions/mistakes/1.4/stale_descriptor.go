// Mistake: the descriptor from before the mount is used, and what is made with it lies below the tmpfs
package namespaces

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

func MountSystem(root string) error {
	defer unix.Umask(unix.Umask(0))
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(top)
	at := func(name string, do func(fd int, path string) error) error {
		if err := unix.Mkdirat(top, name, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("make %s/%s: %w", root, name, err)
		}
		fd, err := unix.Openat2(top, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY, Resolve: unix.RESOLVE_NO_SYMLINKS})
		if err != nil {
			return fmt.Errorf("open %s/%s: %w", root, name, err)
		}
		defer unix.Close(fd)
		if err := do(fd, fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
			return fmt.Errorf("fill %s/%s: %w", root, name, err)
		}
		return nil
	}
	mount := func(name, kind string, flags uintptr, options string) error {
		if err := at(name, func(_ int, path string) error { return unix.Mount(kind, path, kind, flags, options) }); err != nil {
			return fmt.Errorf("mount %s: %w", kind, err)
		}
		return nil
	}
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	steps := []func() error{
		func() error { return mount("proc", "proc", safe, "") },
		func() error {
			err := mount("sys", "sysfs", safe|unix.MS_RDONLY, "")
			if errors.Is(err, unix.EPERM) {
				err = mount("sys", "/sys", unix.MS_BIND|unix.MS_REC, "")
				if err == nil {
					err = at("sys", func(_ int, path string) error {
						return unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
					})
				}
			}
			return err
		},
		func() error {
			return at("dev", func(fd int, path string) error {
				if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
					return err
				}
				return fillDev(fd, path)
			})
		},
		func() error {
			const options = "newinstance,ptmxmode=0666,mode=0620"
			err := mount("dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options+",gid=5")
			if errors.Is(err, unix.EINVAL) {
				err = mount("dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options)
			}
			return err
		},
		func() error { return mount("dev/shm", "tmpfs", safe, "mode=1777") },
		func() error { return mount("dev/mqueue", "mqueue", safe, "") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func fillDev(dev int, path string) error {
	for i, name := range strings.Fields("null - zero - full random urandom") {
		if name == "-" {
			continue
		}
		if err := node(dev, path, name, unix.Mkdev(1, uint32(i+3))); err != nil {
			return err
		}
	}
	links := map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
	for name, to := range links {
		if err := unix.Symlinkat(to, dev, name); err != nil {
			return err
		}
	}
	return node(dev, path, "tty", unix.Mkdev(5, 0))
}

func node(dev int, path, name string, number uint64) error {
	err := unix.Mknodat(dev, name, unix.S_IFCHR|0o666, int(number))
	if err != unix.EPERM {
		return err
	}
	if err := unix.Mknodat(dev, name, unix.S_IFREG|0o666, 0); err != nil {
		return err
	}
	return unix.Mount("/dev/"+name, path+"/"+name, "", unix.MS_BIND, "")
}
