// Mistake: the working directory is from before the bind, so . is the folder below it
package namespaces

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// PivotRoot makes the directory root the file system root of the calling process,
// whose mount namespace must be its own, together with what is mounted below it.
func PivotRoot(root string, readonly bool) error {
	switch fi, err := os.Lstat(root); {
	case err != nil:
		return fmt.Errorf("pivot_root to %s: %w", root, err)
	case fi.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("pivot_root to %s: a symbolic link: resolve it before, and pass the result", root)
	case !fi.IsDir():
		return fmt.Errorf("pivot_root to %s: not a directory", root)
	}
	// Before any mount is made: otherwise it appears with whoever shares ours too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("pivot_root to %s: make / private: %w", root, err)
	}
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("pivot_root to %s: chdir: %w", root, err)
	}
	// The new root must be a mount point, and keep what is mounted below it.
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("pivot_root to %s: bind it on itself: %w", root, err)
	}
	if readonly {
		// One flag of one mount; a remount would have to repeat those that are locked.
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(unix.AT_FDCWD, root, 0, &attr); err != nil {
			return fmt.Errorf("pivot_root to %s: make it read-only: %w", root, err)
		}
	}
	// The old root comes to lie on the new one, at the same place …
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", root, err)
	}
	// … so that "." names the old one now. It is busy: only lazily does it go.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("pivot_root to %s: detach the old root: %w", root, err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("pivot_root to %s: chdir to the new /: %w", root, err)
	}
	return nil
}
