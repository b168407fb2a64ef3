// Alternative: the calls from before mount_setattr: each mount below the path is remounted with the flags that statfs tells.
package namespaces

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moby/sys/mountinfo"
)

func Mask(paths []string) error {
	for _, path := range paths {
		if err := mask(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("mask %s: %w", path, err)
		}
	}
	return nil
}

func mask(path string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return syscall.Mount("none", path, "tmpfs", syscall.MS_RDONLY, "size=4k")
	}
	if err := syscall.Lstat("/dev/null", &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != 1<<8|3 {
		return fmt.Errorf("/dev/null is another file (%v)", err)
	}
	return syscall.Mount("/dev/null", path, "", syscall.MS_BIND, "")
}

func Readonly(paths []string) error {
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = syscall.Mount(real, real, "", syscall.MS_BIND|syscall.MS_REC, "")
		}
		var below []*mountinfo.Info
		if err == nil {
			below, err = mountinfo.GetMounts(mountinfo.PrefixFilter(real))
		}
		for _, m := range below {
			if err == nil {
				err = remount(m.Mountpoint)
			}
		}
		if err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	return nil
}

func remount(path string) error {
	const kept = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | syscall.MS_NOATIME | syscall.MS_NODIRATIME
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return err
	}
	return syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY|uintptr(st.Flags)&kept, "")
}
