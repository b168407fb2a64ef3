package namespaces

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// bindAll makes the spec's mounts below its root, which has not moved yet. A
// target is resolved as if the root were / already (openat2(2), RESOLVE_IN_ROOT):
// a symlink in the image that says ../../etc stays inside.
func bindAll(spec *Spec) error {
	if len(spec.Mounts)+len(spec.Tmpfs) == 0 {
		return nil
	}
	root, err := unix.Open(spec.Root.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("root %s: %w", spec.Root.Path, err)
	}
	defer unix.Close(root)
	for _, target := range spec.Tmpfs {
		if err := tmpfsOn(root, target); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w", target, err)
		}
	}
	for _, m := range spec.Mounts {
		if err := bind(root, m, spec.Root.Readonly); err != nil {
			return fmt.Errorf("bind %s on %s: %w", m.Source, m.Target, err)
		}
	}
	return nil
}

// bind clones the source as a detached mount, gives it its attributes, and only
// then attaches it: it is never seen writable if it is to be read-only.
func bind(root int, m Mount, readonlyRoot bool) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if m.Readonly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	target, err := openTarget(root, m.Target, folder(st), !readonlyRoot)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	err = unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	var at unix.Stat_t
	if errors.Is(err, unix.EINVAL) && unix.Fstat(target, &at) == nil && folder(at) != folder(st) {
		return fmt.Errorf("one is a folder and the other is none: %w", err)
	}
	return err
}

func folder(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

func tmpfsOn(root int, target string) error {
	fd, err := openTarget(root, target, true, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Mount("tmpfs", fmt.Sprintf("/proc/self/fd/%d", fd), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
}

// openTarget opens a mount point below root, making an absent one where it may.
func openTarget(root int, target string, dir, create bool) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, target, &how)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	if !create {
		return -1, errors.New("there is no such place below the root, and a read-only root gets none: bind below /mnt or /tmp, or make the root writable")
	}
	if err := makeTarget(root, target, dir); err != nil {
		return -1, fmt.Errorf("make the mount point: %w", err)
	}
	return unix.Openat2(root, target, &how)
}
