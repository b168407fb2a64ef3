// Alternative: make each file system by fsopen and fsmount, and move the finished mount onto its place.
package namespaces

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

func MountSystem(root string) error {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(top)
	defer unix.Umask(unix.Umask(0))
	const safe = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	for _, m := range []struct {
		place, kind, options string
		attr                 int
	}{
		{"proc", "proc", "", safe},
		{"sys", "sysfs", "", safe | unix.MOUNT_ATTR_RDONLY},
		{"dev", "tmpfs", "mode=755", unix.MOUNT_ATTR_NOSUID},
		{"dev/pts", "devpts", "newinstance ptmxmode=0666 mode=0620 gid=5", unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC},
		{"dev/shm", "tmpfs", "mode=1777", safe},
		{"dev/mqueue", "mqueue", "", safe},
	} {
		mount, err := newMount(m.kind, m.options, m.attr)
		if errors.Is(err, unix.EPERM) && m.kind == "sysfs" {
			mount, err = readonlyCopy("/sys")
		}
		if errors.Is(err, unix.EINVAL) && m.kind == "devpts" {
			mount, err = newMount(m.kind, strings.TrimSuffix(m.options, " gid=5"), m.attr)
		}
		if err == nil {
			err = attach(mount, top, m.place)
		}
		if err == nil && m.place == "dev" {
			err = devices(mount)
		}
		if err != nil {
			return fmt.Errorf("mount %s on %s/%s: %w", m.kind, root, m.place, err)
		}
		unix.Close(mount)
	}
	return nil
}

func newMount(kind, options string, attr int) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for option := range strings.FieldsSeq(options) {
		key, value, has := strings.Cut(option, "=")
		if has {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			return -1, fmt.Errorf("option %s: %w", option, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
}

func readonlyCopy(of string) (int, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, of, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, err
	}
	return tree, unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// attach walks to the place part by part, and never over a link.
func attach(mount, top int, place string) error {
	at, err := unix.Dup(top)
	for part := range strings.SplitSeq(place, "/") {
		if err != nil {
			return err
		}
		if err := unix.Mkdirat(at, part, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		dir := at
		at, err = unix.Openat(dir, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(dir)
	}
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return unix.MoveMount(mount, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// devices fills the new /dev by the mount's own descriptor.
func devices(dev int) error {
	for name, number := range map[string]uint64{"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0)} {
		err := unix.Mknodat(dev, name, unix.S_IFCHR|0o666, int(number))
		if errors.Is(err, unix.EPERM) {
			var node int
			if node, err = unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
				return err
			}
			defer unix.Close(node)
			err = errors.Join(unix.Mknodat(dev, name, unix.S_IFREG|0o666, 0),
				unix.MoveMount(node, "", dev, name, unix.MOVE_MOUNT_F_EMPTY_PATH))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, to := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := unix.Symlinkat(to, dev, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
