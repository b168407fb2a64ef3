// Mistake: the root is bound without MS_REC, so what is mounted below it stays behind
package namespaces

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func PivotRoot(root string, readonly bool) error {
	fi, err := os.Lstat(root)
	if err != nil {
		return fmt.Errorf("root %s: %w", root, err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("root %s is not a directory", root)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private propagation for %s: %w", root, err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", root, err)
	}
	if readonly {
		if err := unix.MountSetattr(unix.AT_FDCWD, root, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make %s read-only: %w", root, err)
		}
	}
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("chdir to %s: %w", root, err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the root before %s: %w", root, err)
	}
	return os.Chdir("/")
}
