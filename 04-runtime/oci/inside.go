package oci

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	namespaces "coracle/01-namespaces"
)

// What makes the inside of a container, called by child.go and create.go in this
// order. P: in the caller's process, C: in the child, on its one locked thread,
// already in its namespaces and its cgroup. Each error names what and where.
//
//	P newCgroup(spec, id, rootless)     chooses the folders, makes nothing
//	P compileSeccomp(spec.Linux.Seccomp) nil for nil
//	P cgroup.make(), birth(), doors()   the groups with limits and devices, and the ways in
//	P openTrees(spec, rootless)         sources of mounts that the child could not reach: files by index of spec.Mounts
//	P limitProcess(pid, process)        prlimit(2), oom_score_adj: what takes rights outside
//	C enterDoors(doors)                 first of all
//	C prepareRoot(spec, rootfs, trees)  propagation, mounts, devices and links below rootfs; / is still the caller's
//	C enterRoot(spec, rootfs, noPivot)  pivot_root, or MS_MOVE and chroot
//	C setSysctls(spec.Linux.Sysctl)
//	C finishRoot(spec)                  read-only mounts and root, readonly and masked paths
//	C setupProcess(process, filter)     the filter first unless no_new_privs; then umask, groups, ids, the five sets, no_new_privs
//	C lastFilter(process, filter)       the filter, if no_new_privs: as late as can be
//
// exec calls compileSeccomp, birth and doors of loadCgroup(state) and limitProcess in P, setupProcess
// and lastFilter in C. The working directory, the lookup of the program, the terminal,
// host and domain name are child.go's. checkInside says before anything is made what
// this side cannot honour.
//
// Go raises its own soft limit of open files at its start and puts the old one back in
// syscall.Exec, unless the process called syscall.Setrlimit itself: setupProcess does.
type cgroup interface {
	// paths is what state.json keeps: the folder of each hierarchy, by the v1
	// controller's name, "" for v2.
	paths() map[string]string
	make() error
	birth() (*os.File, error)   // for CLONE_INTO_CGROUP; nil without a v2 group
	doors() ([]*os.File, error) // for enterDoors in the child
	join(pid int) error
	set(r *specs.LinuxResources) error // update
	stats() (*Stats, error)
	freeze() error
	thaw() error
	frozen() bool
	pids() ([]int, error)
	kill() error   // SIGKILL to all in it and below, frozen or not
	remove() error // nil if it is gone already; waits a little for the dying
}

// A filter is a seccomp profile as the kernel wants it, made outside.
type filter = namespaces.CompiledSeccomp
