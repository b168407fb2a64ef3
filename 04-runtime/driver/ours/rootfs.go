package ours

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/03-images"
	"coracle/04-runtime/driver"
)

// mountRootfs prepares and mounts a container's root. Snapshot and container have the
// same ID.
func (d *Driver) mountRootfs(ctx context.Context, id, sandboxID string, s *sandbox, img *images.Image) error {
	release, err := d.Store.Share(ctx) // until the snapshot holds the layers
	if err != nil {
		return err
	}
	defer release()
	sn, err := d.Store.Prepare(ctx, id, img.Chain())
	if err != nil {
		return err
	}
	target := d.path("containers", id, "rootfs")
	if err := os.Mkdir(target, 0o711); err != nil {
		return err
	}
	if s.Config.UserNS == nil {
		return sn.Mount(target)
	}
	lowers, err := d.Store.Lowers(sn.Parent)
	if err != nil {
		return err
	}
	// What is written above is the pod's: its root owns the folder that takes it.
	if err := os.Chown(sn.Upper(), rootOf(s.Config.UserNS.UIDs), rootOf(s.Config.UserNS.GIDs)); err != nil {
		return err
	}
	return mountMapped(d.namespace(sandboxID, "user"), lowers, sn.Upper(), d.path("containers", id, "layers"), target)
}

// rootOf is who a user namespace's 0 is outside; -1 if nobody.
func rootOf(maps []specs.LinuxIDMapping) int {
	for _, m := range maps {
		if m.ContainerID == 0 {
			return int(m.HostID)
		}
	}
	return -1
}

// mountMapped mounts an overlay whose layers have the owners that a user namespace says:
// who is 0 in it owns what is 0's on the disk. Overlay itself cannot be mounted so, the
// layers below can; each is attached for as long as the mount takes. The upper one
// cannot: overlay works in it as the node's root, who has no ID there.
func mountMapped(userns string, lowers []string, upper, at, target string) (err error) {
	ns, err := os.Open(userns)
	if err != nil {
		return err
	}
	defer ns.Close()
	defer func() { err = errors.Join(err, unmountBelow(at)) }()
	var mapped []string
	for i, from := range lowers {
		to := filepath.Join(at, fmt.Sprint(i))
		if err := errors.Join(os.MkdirAll(to, 0o700), attachMapped(from, to, ns)); err != nil {
			return err
		}
		mapped = append(mapped, to)
	}
	// work is beside fs: see Store.Prepare.
	options := "userxattr,lowerdir=" + strings.Join(mapped, ":") + ",upperdir=" + upper + ",workdir=" + filepath.Join(filepath.Dir(upper), "work")
	if len(lowers) == 0 || len(options) > os.Getpagesize()-1 {
		return fmt.Errorf("mount %s: %d layers: %w in a user namespace", target, len(lowers), driver.ErrUnsupported)
	}
	if err := unix.Mount("overlay", target, "overlay", unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount overlay on %s: %w", target, err)
	}
	return nil
}

func attachMapped(from, to string, ns *os.File) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", from, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("%w: a user namespace for a pod: show %s with its ids: %w", driver.ErrUnsupported, from, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount to %s: %w", to, err)
	}
	return nil
}

// unmountBelow unmounts what is directly below a folder, and removes it.
func unmountBelow(dir string) error {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := errors.Join(unmount(path), os.Remove(path)); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// mounts turns a container's mounts into the spec's. A path that a pod chose below a
// source is followed once, here, and what it led to is bound to a path of ours: whoever
// changes the source afterwards changes nothing (CVE-2017-1002101, CVE-2021-25741).
func (d *Driver) mounts(id string, s *sandbox, c driver.ContainerConfig) (all []specs.Mount, err error) {
	for i, m := range c.Mounts {
		source := m.Source
		place := d.path("containers", id, "mounts", fmt.Sprint(2*i))
		if m.Image != "" {
			if m.Readonly = true; s.Config.UserNS != nil {
				return nil, fmt.Errorf("mount an image on %s: %w in a user namespace", m.Target, driver.ErrUnsupported)
			}
			img, err := d.image(m.Image)
			if err == nil {
				err = os.MkdirAll(place, 0o711)
			}
			if err == nil {
				err = d.Store.MountReadonly(img.Chain(), place)
			}
			if err != nil {
				return nil, err
			}
			source = place
		}
		if m.SubPath != "" {
			to := d.path("containers", id, "mounts", fmt.Sprint(2*i+1))
			if err := bindBelow(source, m.SubPath, to, m.Image == ""); err != nil {
				return nil, err
			}
			source = to
		}
		options := []string{"rbind"}
		switch {
		case m.Readonly && m.RecursiveReadonly:
			options = append(options, "rro")
		case m.Readonly:
			options = append(options, "ro")
		}
		if m.Propagation != "" {
			options = append(options, strings.TrimPrefix(m.Propagation, "r"))
			options[len(options)-1] = "r" + options[len(options)-1]
		} else {
			options = append(options, "rprivate")
		}
		all = append(all, specs.Mount{Destination: m.Target, Type: "bind", Source: source, Options: options})
	}
	return all, nil
}

// bindBelow binds source/sub to a new path. What is missing is made; nothing on the way
// leads out of source.
func bindBelow(source, sub, to string, create bool) error {
	fail := func(err error) error { return fmt.Errorf("subPath %q of %s: %w", sub, source, err) }
	root, err := os.OpenRoot(source)
	if err != nil {
		return fail(err)
	}
	defer root.Close()
	if _, err := root.Stat(sub); errors.Is(err, os.ErrNotExist) && create {
		if err := root.MkdirAll(sub, 0o755); err != nil {
			return fail(err)
		}
	}
	dir, err := root.Open(".")
	if err != nil {
		return fail(err)
	}
	defer dir.Close()
	fd, err := unix.Openat2(int(dir.Fd()), sub, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o711); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = os.Mkdir(to, 0o711)
	} else {
		err = os.WriteFile(to, nil, 0o600)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fail(err)
	}
	return nil
}
