// Alternative: a remount makes the root read-only and repeats the flags that statfs(2) tells.
package namespaces

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func PivotRoot(root string, readonly bool) error {
	fi, err := os.Lstat(root)
	if err == nil && !fi.IsDir() {
		err = errors.New("not a directory")
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"look at it", func() error { return err }},
		{"make / private", func() error { return unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "") }},
		{"bind it on itself", func() error { return unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, "") }},
		{"chdir", func() error { return unix.Chdir(root) }},
		{"make it read-only", func() error {
			if !readonly {
				return nil
			}
			return remountReadonly(".")
		}},
		{"pivot", func() error { return unix.PivotRoot(".", ".") }},
		{"detach the old root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"chdir to the new /", func() error { return unix.Chdir("/") }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("pivot_root to %s: %s: %w", root, s.name, err)
		}
	}
	return nil
}

func remountReadonly(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	// The low flags have the same bits in statfs(2) and mount(2); relatime has not.
	flags := uintptr(fs.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if fs.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")
}
