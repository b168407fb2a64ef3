package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// prepareRoot makes the file system of a container below rootfs, in a mount
// namespace of its own, while / is still the caller's: propagation first, then the
// mounts in the order of the spec, then devices.
//
// trees holds, by the index of a mount, its source if that was opened outside (openTrees).
func prepareRoot(spec *specs.Spec, rootfs string, trees map[int]int) error {
	defer unix.Umask(unix.Umask(0)) // modes are meant as they are written
	if err := propagateRoot(spec, rootfs); err != nil {
		return err
	}
	// A folder is no mount, and only a mount can become the root.
	if err := unix.Mount(rootfs, rootfs, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind the root %s on itself: %w", rootfs, err)
	}
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("root %s: %w", rootfs, err)
	}
	defer unix.Close(root)
	devBound := false
	for i, m := range spec.Mounts {
		p, err := planMount(m)
		if err != nil {
			return err
		}
		devBound = devBound || p.bind && clean(p.Destination) == "/dev"
		tree, opened := trees[i]
		if !opened {
			tree = -1
		}
		if err := mountOne(root, p, tree, spec); err != nil {
			return fmt.Errorf("mount %s on %s: %w", what(p), p.Destination, err)
		}
	}
	if devBound {
		return nil // whoever binds a /dev has filled it
	}
	return makeDevices(root, spec)
}

func what(p *mountPlan) string {
	if p.bind {
		return p.Source
	}
	return p.Type
}

// propagateRoot decides whether what is mounted outside from now on shows inside, and
// the other way round (mount_namespaces(7), SHARED SUBTREES). Nobody asked: neither.
func propagateRoot(spec *specs.Spec, rootfs string) error {
	way := uintptr(unix.MS_PRIVATE | unix.MS_REC)
	if propagates(spec) {
		way = unix.MS_SLAVE | unix.MS_REC
	}
	if spec.Linux != nil && spec.Linux.RootfsPropagation != "" {
		way = uintptr(propagations[spec.Linux.RootfsPropagation])
		if way&(unix.MS_PRIVATE|unix.MS_UNBINDABLE) != 0 {
			way = unix.MS_PRIVATE | way&unix.MS_REC
			if propagates(spec) { // a volume asks for more than the root
				way = unix.MS_SLAVE | unix.MS_REC
			}
		}
	}
	if err := unix.Mount("", "/", "", way, ""); err != nil {
		return fmt.Errorf("propagation of /: %w", err)
	}
	if way&unix.MS_PRIVATE != 0 && way&unix.MS_REC != 0 {
		return nil
	}
	// The mount that the root lies on may not be shared: all mounts of the container
	// would appear outside, and pivot_root(2) refuses it.
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(rootfs))
	if err != nil {
		return fmt.Errorf("find the mount of %s: %w", rootfs, err)
	}
	var on string
	for _, m := range mounts {
		if len(m.Mountpoint) >= len(on) {
			on = m.Mountpoint
		}
	}
	if err := unix.Mount("", on, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make %s private: %w", on, err)
	}
	return nil
}

// propagates says whether the root or a volume asks for mounts from outside.
func propagates(spec *specs.Spec) bool {
	asks := func(word string) bool { return propagations[word]&(unix.MS_SHARED|unix.MS_SLAVE) != 0 }
	return spec.Linux != nil && asks(spec.Linux.RootfsPropagation) ||
		slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return slices.ContainsFunc(m.Options, asks) })
}

func mountOne(root int, p *mountPlan, tree int, spec *specs.Spec) error {
	switch {
	case p.bind:
		return bindMount(root, p, tree)
	case p.Type == "cgroup" || p.Type == "cgroup2":
		return mountGroups(root, p, spec)
	}
	var target int
	var err error
	if p.Type == "proc" || p.Type == "sysfs" {
		// What is masked later is named by its path: that must not lead elsewhere.
		target, err = plainFolder(root, p.Destination)
	} else if target, err = openTarget(root, p.Destination, true); err == nil {
		err = outsideProc(target, p)
	}
	if err != nil {
		return err
	}
	defer unix.Close(target)
	flags := p.flags
	if p.readonlyLater() {
		flags &^= unix.MS_RDONLY
	}
	data := strings.Join(p.data, ",")
	err = unix.Mount(source(p), fdPath(target), p.Type, flags, data)
	switch {
	case p.Type == "devpts" && errors.Is(err, unix.EINVAL):
		// In a user namespace that maps no id 5, the group tty.
		data = strings.Join(slices.DeleteFunc(slices.Clone(p.data), func(d string) bool { return strings.HasPrefix(d, "gid=") }), ",")
		err = unix.Mount(source(p), fdPath(target), p.Type, flags, data)
	case (p.Type == "sysfs" || p.Type == "proc" && !has(spec, specs.PIDNamespace)) && errors.Is(err, unix.EPERM):
		// It belongs to the owner of the network or PID namespace, and that is the
		// caller's: what he sees is what there is.
		return bindCallers(target, p)
	case p.Type == "mqueue" && errors.Is(err, unix.EPERM) && !has(spec, specs.IPCNamespace):
		p.Source = "/dev/mqueue"
		return bindCallers(target, p)
	}
	if err != nil {
		return err
	}
	return propagate(root, p)
}

func source(p *mountPlan) string {
	if p.Source == "" {
		return p.Type
	}
	return p.Source
}

// has says whether the container has a namespace of a kind that is not the caller's.
func has(spec *specs.Spec, kind specs.LinuxNamespaceType) bool {
	return spec.Linux != nil && slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

// plainFolder opens a folder that no link leads to, made if it is missing.
func plainFolder(root int, target string) (int, error) {
	fd, err := openTarget(root, target, true)
	if err != nil {
		return -1, err
	}
	unix.Close(fd)
	fd, err = unix.Openat2(root, target, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: noLinks})
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return -1, errors.New("it is no plain folder, or a link leads there: paths in it could not be protected")
	}
	return fd, err
}

// procFiles are what may be bound over in /proc: lxcfs shows a container its own
// numbers there. Anything else would unmask what is masked, or feign what the
// runtime and the program's own checks rely on (CVE-2019-16884).
var procFiles = []string{"cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev",
	"sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"}

// outsideProc refuses a mount point that lies in /proc, by whichever name.
func outsideProc(target int, p *mountPlan) error {
	var at unix.Statfs_t
	if err := unix.Fstatfs(target, &at); err != nil {
		return err
	}
	in, below := strings.CutPrefix(clean(p.Destination), "/proc/")
	if at.Type != unix.PROC_SUPER_MAGIC || below && slices.Contains(procFiles, in) {
		return nil
	}
	var from unix.Statfs_t
	if p.bind && unix.Statfs(p.Source, &from) == nil && from.Type == unix.PROC_SUPER_MAGIC {
		return nil
	}
	return errors.New("it lies in /proc, of which only a part may be replaced, and by files of /proc alone")
}
