package namespaces

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Mask makes each path unreadable: a directory is covered with an empty read-only
// tmpfs, everything else with the null device. A path that does not exist is
// skipped.
func Mask(paths []string) error {
	null, err := refNull()
	if err != nil {
		return err
	}
	defer unix.Close(null)
	for _, path := range paths {
		fi, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
		case fi.IsDir():
			err = unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755")
		default:
			err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", null), path, "", unix.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("mask %s: %w", path, err)
		}
	}
	return nil
}

// refNull opens the null device without trusting its name: in an image
// /dev/null may be a file, or a link to one that should be out of reach.
func refNull() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mask: open /dev/null: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("mask: stat /dev/null: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		unix.Close(fd)
		return -1, errors.New("mask: /dev/null is not the null device (character device 1:3)")
	}
	return fd, nil
}

// Readonly makes each path, and every mount below it, refuse writing with EROFS.
func Readonly(paths []string) error {
	for _, path := range paths {
		err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			// It sets this flag and leaves the others, among them those that are locked.
			attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
			err = unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &attr)
		}
		if err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	return nil
}
