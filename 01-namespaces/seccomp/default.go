package seccomp

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// denied are the calls that the default profile does not let through, in the
// groups of the reasons that Docker's documentation gives for its own.
const denied = `
 bpf perf_event_open lookup_dcookie userfaultfd
 io_uring_setup io_uring_enter io_uring_register
 add_key keyctl request_key
 mount mount_setattr move_mount umount umount2 pivot_root open_tree open_tree_attr fsopen fsconfig fsmount fspick
 open_by_handle_at listns quotactl quotactl_fd fanotify_init swapon swapoff
 setns unshare
 init_module finit_module delete_module create_module get_kernel_syms query_module
 kexec_load kexec_file_load reboot
 settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 stime
 acct syslog vhangup ioperm iopl pciconfig_iobase pciconfig_read pciconfig_write
 kcmp pidfd_getfd
 get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node
 _sysctl afs_syscall bdflush break ftime getpmsg gtty idle lock mpx nfsservctl prof profil putpmsg security stty
 sysfs tuxcall ulimit uselib ustat vm86 vm86old vserver
 socketcall`

// newNamespaces are the flags of clone(2) that make a namespace.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Default returns the profile for a program that is given none. It lists what is
// allowed, which is every call of our table but those that
//   - change the whole machine or reach around its namespaces: mounts, modules,
//     kexec, clocks, swap, accounting, file handles, the key rings (they are not
//     divided into namespaces);
//   - open a large part of the kernel to attack: bpf, perf, userfaultfd, io_uring,
//     and namespaces of one's own;
//   - are obsolete.
//
// A call newer than the table is not there (ENOSYS), so that a C library tries the
// older one; any other that is denied fails with EPERM.
//
// Caveat: the profile does not depend on the capabilities that the program has, as
// Docker's does: with CAP_SYS_ADMIN one still cannot mount.
func Default() *specs.LinuxSeccomp {
	enosys := uint(unix.ENOSYS)
	only := func(index uint, op specs.LinuxSeccompOperator, value, two uint64) []specs.LinuxSeccompArg {
		return []specs.LinuxSeccompArg{{Index: index, Op: op, Value: value, ValueTwo: two}}
	}
	p := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, // EPERM
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64, specs.ArchARM},
		Syscalls: []specs.LinuxSyscall{
			// A filter cannot look into the structure that clone3 points to; told that there
			// is no such call, a C library falls back to clone.
			{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &enosys},
			{Names: []string{"clone"}, Action: specs.ActAllow, Args: only(0, specs.OpMaskedEqual, newNamespaces, 0)},
			// AF_VSOCK speaks to the hypervisor past every network namespace. ≤ and not ≠: the
			// kernel takes the lower half as the family, and ≠ is true of 40 with a bit above.
			// (Hence no socketcall: it has the family behind a pointer.)
			{Names: []string{"socket"}, Action: specs.ActAllow, Args: only(0, specs.OpLessThan, unix.AF_VSOCK, 0)},
		},
	}
	// PER_LINUX, PER_LINUX32, with and without UNAME26, and the question.
	for _, persona := range []uint64{0, 0x8, 0x20000, 0x20008, 0xffffffff} {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{"personality"}, Action: specs.ActAllow, Args: only(0, specs.OpEqualTo, persona, 0)})
	}
	special := map[string]bool{"clone": true, "clone3": true, "socket": true, "personality": true}
	for _, name := range strings.Fields(denied) {
		special[name] = true
	}
	allowed := make([]string, 0, 512)
	each(func(name string, _ *[len(columns)]int) {
		if !special[name] {
			allowed = append(allowed, name)
		}
	})
	p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: allowed, Action: specs.ActAllow})
	return p
}
