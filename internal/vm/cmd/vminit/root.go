package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type mount struct {
	fs, target string
	flags      uintptr
	data       string
}

var kernelMounts = []mount{
	{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=755"},
}

var laterMounts = []mount{
	{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "ptmxmode=666,mode=620,gid=5"},
	{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"cgroup2", "/sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"},
}

func mountAll(root string, mounts []mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(root+m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, root+m.target, m.fs, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.fs, m.target, err)
		}
	}
	return nil
}

const newRoot = "/.newroot"

// moveRoot leaves the initramfs, which pivot_root(2) refuses to leave, for a file system that can be pivoted away. The
// way is switch_root's: fill the new one, empty the old, move the new mount over / and chroot into it. The kernel's
// helpers follow, because their threads share PID 1's root.
func moveRoot(kind string) error {
	if err := os.Mkdir(newRoot, 0o755); err != nil {
		return err
	}
	source, data := "tmpfs", "mode=755,size=90%"
	if kind == "ext4" {
		source, data = "/dev/vda", ""
		if err := await(source); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, newRoot, kind, 0, data); err != nil {
		return fmt.Errorf("mount %s on the new root: %w", kind, err)
	}
	if err := moveTree("/", newRoot); err != nil {
		return err
	}
	for _, m := range kernelMounts {
		if err := os.MkdirAll(newRoot+m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.target, newRoot+m.target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s to the new root: %w", m.target, err)
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the new root over /: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot into the new root: %w", err)
	}
	return os.Chdir("/")
}

// await polls for a device: drivers find theirs in the background.
func await(path string) error {
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no %s within 10 s: has this kernel the driver?", path)
}

// moveTree copies everything on from's own file system, and frees each file's memory as soon as it is copied.
func moveTree(from, to string) error {
	var dirs []func() error
	device := deviceOf(from)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == from {
			return nil
		}
		if d.IsDir() && deviceOf(path) != device {
			return fs.SkipDir // what is mounted is moved by its own
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, path)
		switch {
		case info.IsDir():
			dirs = append(dirs, func() error { return chmod(target, info.Mode()) })
			return os.MkdirAll(target, 0o755)
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case info.Mode().IsRegular():
			if err := copyFile(path, target, info); err != nil {
				return fmt.Errorf("copy %s to the new root: %w", path, err)
			}
			return os.Remove(path)
		}
		return nil // devices are devtmpfs's
	})
	for _, finish := range dirs {
		if err == nil {
			err = finish()
		}
	}
	return err
}

func copyFile(from, to string, info fs.FileInfo) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = chmod(to, info.Mode()) // chmod, since the umask and O_CREAT drop setuid
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}

func chmod(path string, mode fs.FileMode) error {
	return os.Chmod(path, mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
}

func deviceOf(path string) uint64 {
	st, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return st.Sys().(*syscall.Stat_t).Dev
}
