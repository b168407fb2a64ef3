// Alternative: put together with golang.org/x/net/bpf, the comparisons in a binary
// search over the sorted numbers, the returns at the leaves.
package namespaces

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func Filter(arch uint32, deny []uint32, errno syscall.Errno) ([]unix.SockFilter, error) {
	kill := bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS}
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		kill,
		bpf.LoadAbsolute{Off: 0, Size: 4},
	}
	if arch == unix.AUDIT_ARCH_X86_64 {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: x32Bit, SkipTrue: 1}, kill)
	}
	if 3*len(deny)+10 > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("%d calls make more than %d instructions", len(deny), unix.BPF_MAXINSNS)
	}
	sorted := slices.Clone(deny)
	slices.Sort(sorted)
	code = append(code, search(slices.Compact(sorted), bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)})...)
	raw, err := bpf.Assemble(code)
	if err != nil {
		return nil, err
	}
	var filter []unix.SockFilter
	for _, r := range raw {
		filter = append(filter, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	return filter, nil
}

func search(numbers []uint32, deny bpf.Instruction) []bpf.Instruction {
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	switch len(numbers) {
	case 0:
		return []bpf.Instruction{allow}
	case 1:
		return []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: numbers[0], SkipFalse: 1}, deny, allow}
	}
	middle := len(numbers) / 2
	lower, upper := search(numbers[:middle], deny), search(numbers[middle:], deny)
	head := []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: numbers[middle], SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(lower))},
	}
	return slices.Concat(head, lower, upper)
}

func InstallFilter(program []unix.SockFilter, flags uintptr) error {
	if len(program) == 0 {
		return errors.New("refused: the filter is empty")
	}
	prog := &unix.SockFprog{Len: uint16(len(program)), Filter: unsafe.SliceData(program)}
	tid, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(prog)))
	if errno != 0 {
		return fmt.Errorf("seccomp(2) (want no_new_privs or CAP_SYS_ADMIN): %w", errno)
	}
	if tid != 0 {
		return fmt.Errorf("seccomp(2): not in force because of thread %d", tid)
	}
	return nil
}
