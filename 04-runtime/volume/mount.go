package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountTmpfs mounts a tmpfs on a folder of the agent's unless it is there, with the
// first of the options that the kernel takes.
func mountTmpfs(dir string, mode os.FileMode, options ...string) error {
	mounted, err := mountinfo.Mounted(dir)
	if err != nil || mounted {
		return err
	}
	for _, option := range options {
		if err = unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV, fmt.Sprintf("mode=%o,%s", mode, option)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
}

// unmountBelow unmounts all that is mounted at or below a path, the last one first.
// First each takes leave of its peers: what is mounted in a copy of a shared mount is
// mounted in the original too, and would be unmounted there with it.
func unmountBelow(path string) error {
	path, err := filepath.EvalSymlinks(path) // the table has no links
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for range 3 { // in case somebody mounts meanwhile
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
		if err != nil || len(mounts) == 0 {
			return err
		}
		for _, m := range mounts {
			if err := unix.Mount("", m.Mountpoint, "", unix.MS_PRIVATE, ""); err != nil && !gone(err) {
				return fmt.Errorf("make %s private: %w", m.Mountpoint, err)
			}
		}
		for _, m := range slices.Backward(mounts) {
			if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !gone(err) {
				return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
			}
		}
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
	if err == nil && len(mounts) > 0 {
		err = fmt.Errorf("%s is mounted still", mounts[0].Mountpoint)
	}
	return err
}

func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) }
