// Mistake: the copy of /sys is taken without the mounts on it, and in a user namespace what they hide stays hidden
package namespaces

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const refSafe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

var refMounts = []struct {
	on, fstype string
	flags      uintptr
	options    string
	fallback   func(place int) error // tried once the mount is refused
}{
	{"proc", "proc", refSafe, "", nil},
	{"sys", "sysfs", refSafe | unix.MS_RDONLY, "", refCallersSys},
	{"dev", "tmpfs", unix.MS_NOSUID, "mode=755", nil},
	{"dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5", refPtsWithoutGroup},
	{"dev/shm", "tmpfs", refSafe, "mode=1777", nil},
	{"dev/mqueue", "mqueue", refSafe, "", nil},
}

var refNodes = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

var refLinks = [][2]string{{"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}}

// MountSystem mounts /proc, /sys and /dev below root, which is not yet /.
func MountSystem(root string) error {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open root %s: %w", root, err)
	}
	defer unix.Close(top)
	defer unix.Umask(unix.Umask(0)) // modes are meant as they are written
	for _, m := range refMounts {
		place, err := refPlace(top, m.on)
		if err == nil {
			err = unix.Mount(m.fstype, refFD(place), m.fstype, m.flags, m.options)
			if m.fallback != nil && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)) {
				err = m.fallback(place)
			}
			unix.Close(place)
		}
		if err != nil {
			return fmt.Errorf("mount %s on %s/%s: %w", m.fstype, root, m.on, err)
		}
	}
	dev, err := refPlace(top, "dev") // anew: this is the tmpfs
	if err != nil {
		return fmt.Errorf("open %s/dev: %w", root, err)
	}
	defer unix.Close(dev)
	for _, n := range refNodes {
		err := unix.Mknodat(dev, n.name, unix.S_IFCHR|0o666, int(unix.Mkdev(n.major, n.minor)))
		if errors.Is(err, unix.EPERM) {
			err = refBindNode(dev, n.name)
		}
		if err != nil {
			return fmt.Errorf("make %s/dev/%s: %w", root, n.name, err)
		}
	}
	for _, l := range refLinks {
		if err := unix.Symlinkat(l[1], dev, l[0]); err != nil {
			return fmt.Errorf("link %s/dev/%s: %w", root, l[0], err)
		}
	}
	return nil
}

// refPlace opens a directory below top, made if it is missing, and never through
// a link: neither out of the root nor to another place in it.
func refPlace(top int, on string) (int, error) {
	if err := unix.Mkdirat(top, on, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	fd, err := unix.Openat2(top, on, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	})
	if errors.Is(err, unix.ELOOP) {
		return -1, errors.New("it is a symbolic link in the root, which could lead anywhere")
	}
	return fd, err
}

// refFD is the name of what a descriptor refers to: a magic link, so that the
// kernel takes the very file, and no path is looked up a second time.
func refFD(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// refCallersSys is for a network namespace that another user namespace owns. The
// copy is read-only before it is attached.
func refCallersSys(place int) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/sys", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", place, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// refPtsWithoutGroup is for a user namespace in which no id 5 is mapped.
func refPtsWithoutGroup(place int) error {
	return unix.Mount("devpts", refFD(place), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
}

func refBindNode(dev int, name string) error {
	fd, err := unix.Openat(dev, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Mount("/dev/"+name, refFD(fd), "", unix.MS_BIND, "")
}
