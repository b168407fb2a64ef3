package namespaces

import (
	"syscall"

	"golang.org/x/sys/unix"

	"coracle/internal/exercise"
)

// Exercise 1.9: a seccomp filter
//
// A seccomp filter is a small program that the kernel runs before every system call
// of a thread and of all that it ever starts. The language is classic BPF, made for
// packet filters: an accumulator, a load, jumps that only go forward, a return. Its
// "packet" is struct seccomp_data:
//
//	offset 0   nr    uint32      number of the system call
//	offset 4   arch  uint32      AUDIT_ARCH_X86_64, …
//	offset 8   instruction_pointer  uint64
//	offset 16  args  [6]uint64
//
// and what it returns is the verdict (seccomp(2)). One thing comes first, always: the
// same number is another call on another architecture, and a 64-bit kernel runs
// 32-bit system calls for any program that makes them.
//
// Delete this line when you start:
var _ = todo("1.9")

// Filter returns a program for one architecture that answers the numbers in deny
// with errno and allows every other.
//
//	Filter(unix.AUDIT_ARCH_X86_64, []uint32{165}, syscall.EPERM)
//	→ mount(2), which is 165 there, fails with EPERM; everything else works
//
// The contract:
//   - a call made for another architecture ends the process: SECCOMP_RET_KILL_PROCESS;
//   - on AUDIT_ARCH_X86_64 so does a number with x32Bit (given) set: x32 calls bear
//     the same arch, and mount is 165+x32Bit there;
//   - verdicts are SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with errno in its low 16 bits;
//   - a jump's offset is 8 bits wide: any number of calls may be denied, up to
//     unix.BPF_MAXINSNS instructions in all; more are an error that names this limit.
//
// Done when: `./lab test 1.9` is green. May use: unix.SockFilter with unix.BPF_LD,
// BPF_W, BPF_ABS, BPF_JMP, BPF_JEQ, BPF_JSET or BPF_JGE, BPF_K, BPF_RET. The example in
// seccomp(2); "Filter machine" in the kernel's Documentation/networking/filter.rst.
func Filter(arch uint32, deny []uint32, errno syscall.Errno) ([]unix.SockFilter, error) {
	return nil, exercise.Unwritten("1.9")
}

// InstallFilter puts a program in force for the calling thread, for good: every
// program that it executes and every child has it too. flags are those of
// SECCOMP_SET_MODE_FILTER (seccomp(2)), 0 for none.
//
// The kernel accepts a filter only from a thread that has no_new_privs set or
// CAP_SYS_ADMIN: otherwise a set-user-ID program could be made to fail where it does
// not expect it, as in not giving up root. InstallFilter sets nothing by itself. Its
// error wraps the errno and names no_new_privs. An empty program is an error that
// calls it empty; the kernel would only say EINVAL.
//
// With SECCOMP_FILTER_FLAG_TSYNC, for all threads, the kernel may refuse without an
// errno: it returns the id of a thread that has a filter of its own, and no filter is
// in force. That is an error that names the thread.
//
// It acts on the calling thread alone; the caller has locked it (runtime.LockOSThread).
// May use: unix.Syscall with unix.SYS_SECCOMP and unix.SECCOMP_SET_MODE_FILTER, a
// unix.SockFprog, runtime.KeepAlive.
func InstallFilter(program []unix.SockFilter, flags uintptr) error {
	return exercise.Unwritten("1.9")
}
