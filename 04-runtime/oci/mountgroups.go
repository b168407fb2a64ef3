package oci

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

// mountGroups gives a container its view of the groups. On v2 that is one mount. On
// v1 it is a folder of mounts, one for each hierarchy, named as outside: with a cgroup
// namespace each begins at the container's group by itself, without one that group is
// bound.
func mountGroups(root int, p *mountPlan, spec *specs.Spec) error {
	all, err := hostgroup.Mounted()
	if err != nil {
		return err
	}
	target, err := openTarget(root, p.Destination, true)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if len(all) == 1 && all[0].V2() || p.Type == "cgroup2" {
		return mountUnified(root, target, p, all)
	}
	// Not read-only yet, for the folders in it.
	flags := p.flags &^ unix.MS_RDONLY
	if err := unix.Mount("tmpfs", fdPath(target), "tmpfs", flags, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs for the hierarchies: %w", err)
	}
	top, err := openTarget(root, p.Destination, true) // anew: the tmpfs
	if err != nil {
		return err
	}
	defer unix.Close(top)
	for _, h := range all {
		name := filepath.Base(h.Mount)
		err := mountHierarchy(top, name, h, p, has(spec, specs.CgroupNamespace))
		if err != nil {
			return fmt.Errorf("hierarchy %s: %w", name, err)
		}
		for _, c := range h.Controllers {
			if c != name && strings.Contains(name, ",") { // cpu → cpu,cpuacct
				if err := unix.Symlinkat(name, top, c); err != nil {
					return fmt.Errorf("link %s: %w", c, err)
				}
			}
		}
	}
	if err := readonlyAt(root, p.Destination, p); err != nil {
		return err
	}
	return propagate(root, p)
}

func mountHierarchy(root int, place string, h hostgroup.Hierarchy, p *mountPlan, own bool) error {
	target, err := openTarget(root, place, true)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if own {
		kind, data := "cgroup2", ""
		if !h.V2() {
			kind, data = "cgroup", strings.Join(h.Controllers, ",")
			if strings.HasPrefix(data, "name=") {
				data = "none," + data
			}
		}
		// The flag ro of mount(2) would be the whole file system's, which is mounted outside too.
		err := unix.Mount(kind, fdPath(target), kind, p.flags&^unix.MS_RDONLY, data)
		if err == nil {
			return readonlyAt(root, place, p)
		}
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	if h.Own == "" {
		return errors.New("mounting it is not allowed, and the container's group cannot be seen from outside: leave the mount out")
	}
	return bindCallers(target, &mountPlan{Mount: specs.Mount{Source: h.Own}, set: p.set | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC})
}

// readonlyAt makes what was mounted on a place read-only, if the plan says so.
func readonlyAt(root int, place string, p *mountPlan) error {
	if p.flags&unix.MS_RDONLY == 0 {
		return nil
	}
	at, err := openTarget(root, place, true) // anew: this is the mount, not what is below it
	if err != nil {
		return err
	}
	defer unix.Close(at)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(at, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("make it read-only: %w", err)
	}
	return nil
}

// mountUnified mounts cgroup v2; where that is refused, in a user namespace without a
// cgroup namespace of its own, it binds what the caller has.
func mountUnified(root, target int, p *mountPlan, all []hostgroup.Hierarchy) error {
	err := unix.Mount("cgroup", fdPath(target), "cgroup2", p.flags&^unix.MS_RDONLY, strings.Join(p.data, ","))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		for _, h := range all {
			if h.V2() {
				return bindCallers(target, &mountPlan{Mount: specs.Mount{Source: h.Mount}, set: p.set})
			}
		}
	}
	if err != nil {
		return err
	}
	if err := readonlyAt(root, p.Destination, p); err != nil {
		return err
	}
	return propagate(root, p)
}
