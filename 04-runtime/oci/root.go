package oci

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

// enterRoot makes rootfs, which prepareRoot has filled, the root.
func enterRoot(spec *specs.Spec, rootfs string, noPivot bool) error {
	switch {
	case noPivot:
		return moveRoot(rootfs)
	case !propagates(spec):
		return namespaces.PivotRoot(rootfs, false)
	}
	// Chapter 1's makes everything private, and some mount here is to stay in touch.
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("pivot_root to %s: %w", rootfs, err)
	}
	defer unix.Close(old)
	if err := unix.Chdir(rootfs); err != nil {
		return fmt.Errorf("pivot_root to %s: chdir: %w", rootfs, err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", rootfs, err)
	}
	if err := unix.Fchdir(old); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", rootfs, err)
	}
	// Unmounting below a shared mount would do so outside too.
	if err := unix.Mount("", ".", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("pivot_root to %s: make the old root a slave: %w", rootfs, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("pivot_root to %s: detach the old root: %w", rootfs, err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return nil
}

// moveRoot is for an initramfs, which cannot be pivoted away: the root is mounted over
// it. What it covers stays mounted, so /proc and /sys of the machine are taken away
// first: whoever finds a way below the cover must not find them.
func moveRoot(rootfs string) error {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		below := m.Mountpoint == rootfs || strings.HasPrefix(m.Mountpoint, rootfs+"/")
		return below || m.FSType != "proc" && m.FSType != "sysfs", false
	})
	if err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	for _, m := range mounts {
		unix.Mount("", m.Mountpoint, "", unix.MS_SLAVE|unix.MS_REC, "")
		err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) { // locked: it came from outside of the user namespace
			err = unix.Mount("tmpfs", m.Mountpoint, "tmpfs", 0, "size=0")
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("move the root: take away %s: %w", m.Mountpoint, err)
		}
	}
	if err := unix.Chdir(rootfs); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w", rootfs, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return unix.Chdir("/")
}

// finishRoot closes what could stay open until all was made: mounts that are to be
// read-only and yet were filled, the root, and the paths that tell of, or change, the
// whole machine.
func finishRoot(spec *specs.Spec) error {
	for _, m := range spec.Mounts {
		p, err := planMount(m)
		if err != nil {
			return err
		}
		if p.readonlyLater() {
			attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
			if err := unix.MountSetattr(unix.AT_FDCWD, clean(m.Destination), 0, &attr); err != nil {
				return fmt.Errorf("make %s read-only: %w", m.Destination, err)
			}
		}
	}
	l := spec.Linux
	if l == nil {
		l = &specs.Linux{}
	}
	if way := propagations[l.RootfsPropagation]; way != 0 {
		if err := unix.Mount("", "/", "", uintptr(way&^unix.MS_REC), ""); err != nil { // the volumes have theirs
			return fmt.Errorf("rootfsPropagation %s: %w", l.RootfsPropagation, err)
		}
	}
	if spec.Root.Readonly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	if l.Personality != nil && l.Personality.Domain == specs.PerLinux32 {
		if _, _, errno := unix.Syscall(unix.SYS_PERSONALITY, perLinux32, 0, 0); errno != 0 {
			return fmt.Errorf("personality: %w", errno)
		}
	}
	if len(l.MaskedPaths) > 0 {
		if err := namespaces.Mask(cleanAll(l.MaskedPaths)); err != nil {
			return err
		}
	}
	if len(l.ReadonlyPaths) > 0 {
		if err := namespaces.Readonly(cleanAll(l.ReadonlyPaths)); err != nil {
			return err
		}
	}
	return nil
}

const perLinux32 = 8 // PER_LINUX32, personality(2): uname says i686

func cleanAll(paths []string) []string {
	all := make([]string, len(paths))
	for i, p := range paths {
		all[i] = filepath.Clean(p)
	}
	return all
}
