package oci

import (
	"errors"
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// bindMount clones the source as a detached mount, gives it its attributes, and only
// then attaches it: it is never seen writable if it is to be read-only.
func bindMount(root int, p *mountPlan, tree int) error {
	if tree < 0 {
		if p.idmapped {
			return errors.New("a mount with other ids has to be opened by whoever starts the container")
		}
		var err error
		if tree, err = cloneTree(p); err != nil {
			return err
		}
		defer unix.Close(tree)
	}
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	target, err := openTarget(root, p.Destination, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if err := outsideProc(target, p); err != nil {
		return err
	}
	if err := setAttributes(tree, p); err != nil {
		return err
	}
	if err := attach(tree, target); err != nil {
		return err
	}
	// After it is attached: a mount on a shared one takes part in that one's sharing.
	return setPropagation(tree, p)
}

func cloneTree(p *mountPlan) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if p.recursive {
		flags |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, p.Source, flags)
	if err != nil {
		return -1, fmt.Errorf("source %s: %w", p.Source, err)
	}
	return tree, nil
}

func attach(tree, target int) error {
	err := unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	var from, to unix.Stat_t
	if errors.Is(err, unix.EINVAL) && unix.Fstat(tree, &from) == nil && unix.Fstat(target, &to) == nil && (from.Mode^to.Mode)&unix.S_IFMT != 0 {
		return fmt.Errorf("one is a folder and the other is none: %w", unix.ENOTDIR)
	}
	return err
}

// setAttributes sets the flags of a detached mount, and of all below it those that
// were asked for with an r. It leaves the others, among them those that a user
// namespace has locked.
func setAttributes(tree int, p *mountPlan) error {
	set := p.set
	if p.readonlyLater() {
		set &^= unix.MOUNT_ATTR_RDONLY
	}
	for _, a := range []struct {
		unix.MountAttr
		recursive uint
	}{{attributes(set, p.clear), 0}, {attributes(p.setAll, p.clearAll), unix.AT_RECURSIVE}} {
		if a.Attr_set|a.Attr_clr == 0 {
			continue
		}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|a.recursive, &a.MountAttr); err != nil {
			return fmt.Errorf("set its options: %w", err)
		}
	}
	return nil
}

// propagate sets the propagation of what was mounted by mount(2), which gives no
// descriptor of it.
func propagate(root int, p *mountPlan) error {
	if len(p.propagation) == 0 {
		return nil
	}
	at, err := openTarget(root, p.Destination, true)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return setPropagation(at, p)
}

func setPropagation(mount int, p *mountPlan) error {
	for _, way := range p.propagation {
		var recursive uint
		if way&unix.MS_REC != 0 {
			recursive = unix.AT_RECURSIVE
		}
		attr := unix.MountAttr{Propagation: way &^ unix.MS_REC}
		if err := unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH|recursive, &attr); err != nil {
			return fmt.Errorf("set its propagation: %w", err)
		}
	}
	return nil
}

// bindCallers binds the caller's own file system of a kind, with all that is mounted
// on it, and all of it read-only if that was asked for.
func bindCallers(target int, p *mountPlan) error {
	from := p.Source
	if !filepath.IsAbs(from) {
		from = map[string]string{"sysfs": "/sys", "proc": "/proc"}[p.Type]
	}
	tree, err := cloneTree(&mountPlan{Mount: specs.Mount{Source: from}, recursive: true})
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := attributes(p.set, 0)
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	return attach(tree, target)
}
