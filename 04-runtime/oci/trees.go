package oci

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// openTrees opens, in the caller's process, the sources of binds that the child could
// not: those with other ids (mount_setattr(2), MOUNT_ATTR_IDMAP, takes rights over the
// file system), and with a user namespace all of them, which may lie in folders that
// are closed to its root. The result is by the index of the mount; the caller closes.
func openTrees(spec *specs.Spec, rootless bool) (_ map[int]*os.File, err error) {
	trees := map[int]*os.File{}
	defer func() {
		if err != nil {
			closeTrees(trees)
		}
	}()
	all := has(spec, specs.UserNamespace) && os.Geteuid() == 0 // only who may mount here can
	for i, m := range spec.Mounts {
		p, err := planMount(m)
		if err != nil {
			return trees, err
		}
		if !p.bind || !all && !p.idmapped {
			continue
		}
		if p.idmapped && rootless {
			return trees, fmt.Errorf("mount %s on %s: showing files as another's takes root of the whole machine", p.Source, p.Destination)
		}
		fd, err := cloneTree(p)
		if err != nil {
			return trees, fmt.Errorf("mount %s on %s: %w", p.Source, p.Destination, err)
		}
		trees[i] = os.NewFile(uintptr(fd), p.Source)
		// A copy of a shared mount is its peer: what the container mounts in it would appear outside.
		attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
		if propagates(spec) {
			attr.Propagation = unix.MS_SLAVE
			if slices.ContainsFunc(p.propagation, func(way uint64) bool { return way&unix.MS_SHARED != 0 }) {
				attr.Propagation = unix.MS_SHARED
			}
		}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return trees, fmt.Errorf("mount %s on %s: propagation: %w", p.Source, p.Destination, err)
		}
		if p.idmapped {
			if err := mapTree(fd, p); err != nil {
				return trees, fmt.Errorf("mount %s on %s: map its ids: %w", p.Source, p.Destination, err)
			}
		}
	}
	return trees, nil
}

func closeTrees(trees map[int]*os.File) {
	for _, f := range trees {
		f.Close()
	}
}

// mapTree shows the files of a tree as another's: whoever is ContainerID to the
// container is HostID on the disk.
func mapTree(tree int, p *mountPlan) error {
	ns, err := userNamespace(p.UIDMappings, p.GIDMappings)
	if err != nil {
		return err
	}
	defer ns.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|uint(p.idmap), &attr)
	if err == unix.EINVAL {
		return fmt.Errorf("this file system cannot (mount_setattr(2), ID-mapped mounts): %w", err)
	}
	return err
}

// userNamespace makes a user namespace for its id maps alone. It belongs to a process
// that never runs: traced, it stops before its first instruction, and is killed.
func userNamespace(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	convert := func(from []specs.LinuxIDMapping) (to []syscall.SysProcIDMap) {
		for _, m := range from {
			to = append(to, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
		}
		return to
	}
	p, err := os.StartProcess("/proc/self/exe", []string{"user-namespace"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: convert(uids), GidMappings: convert(gids), GidMappingsEnableSetgroups: true,
		Ptrace: true, Pdeathsig: syscall.SIGKILL,
	}})
	if err != nil {
		return nil, err
	}
	defer func() {
		p.Kill()
		p.Wait()
	}()
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", p.Pid))
}
