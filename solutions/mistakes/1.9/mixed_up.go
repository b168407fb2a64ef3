// Mistake: the number is compared with the architecture: each is loaded, from its own offset
package namespaces

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Filter returns a program for one architecture that answers the numbers in deny
// with errno and allows every other.
func Filter(arch uint32, deny []uint32, errno syscall.Errno) ([]unix.SockFilter, error) {
	const (
		offArch = 4 // struct seccomp_data
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ret     = unix.BPF_RET | unix.BPF_K
	)
	program := []unix.SockFilter{
		{Code: load, K: offArch},
		{Code: equal, K: arch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
	}
	if arch == unix.AUDIT_ARCH_X86_64 {
		program = append(program,
			unix.SockFilter{Code: atLeast, K: x32Bit, Jf: 1},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS})
	}
	// A return beside each comparison: one shared by all would soon be more than 255
	// instructions away.
	for _, nr := range deny {
		program = append(program,
			unix.SockFilter{Code: equal, K: nr, Jf: 1},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)&unix.SECCOMP_RET_DATA})
	}
	program = append(program, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	if len(program) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("seccomp: a filter of %d instructions: the kernel takes %d", len(program), unix.BPF_MAXINSNS)
	}
	return program, nil
}

// InstallFilter puts a program in force for the calling thread, for good.
func InstallFilter(program []unix.SockFilter, flags uintptr) error {
	if len(program) == 0 {
		return errors.New("seccomp: an empty filter decides nothing")
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	switch {
	case errno == unix.EACCES:
		return fmt.Errorf("seccomp: install a filter without no_new_privs or CAP_SYS_ADMIN: %w", errno)
	case errno != 0:
		return fmt.Errorf("seccomp: install a filter: %w", errno)
	case flags&unix.SECCOMP_FILTER_FLAG_TSYNC != 0 && thread != 0: // refused all the same
		return fmt.Errorf("seccomp: install a filter on every thread: thread %d has one of its own", thread)
	}
	return nil
}
