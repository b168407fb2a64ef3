package oci

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A bpfInsn is struct bpf_insn of linux/bpf.h.
type bpfInsn struct {
	code uint8
	regs uint8 // destination, and source << 4
	off  int16
	imm  int32
}

// deviceProgram asks the rules from the last to the first. R4 holds what of the
// access is still undecided: a rule that denies any of it ends with 0, one that allows
// takes its part away, and once nothing is left it is 1.
//
//	r2 = type, r4 = access    the two halves of ctx->access_type
//	r5 = major, r6 = minor    (struct bpf_cgroup_dev_ctx)
func deviceProgram(rules []deviceRule) []bpfInsn {
	const (
		load, mov, movReg    = 0x61, 0xb7, 0xbf // LDX|W|MEM, ALU64|MOV|K, |X
		and, shift           = 0x57, 0x77       // ALU64|AND|K, RSH|K
		notEqual, set, equal = 0x55, 0x45, 0x15 // JMP|JNE|K, JSET|K, JEQ|K
		jump, exit           = 0x05, 0x95
	)
	p := []bpfInsn{
		{load, 2 | 1<<4, 0, 0}, {movReg, 4 | 2<<4, 0, 0}, {and, 2, 0, 0xffff}, {shift, 4, 0, 16},
		{load, 5 | 1<<4, 4, 0}, {load, 6 | 1<<4, 8, 0},
	}
	for _, r := range slices.Backward(rules) {
		var tests []bpfInsn // each leaves for the next rule
		if kind := map[byte]int32{'b': kindBlock, 'c': kindChar}[r.kind]; kind != 0 {
			tests = append(tests, bpfInsn{notEqual, 2, 0, kind})
		}
		if r.major >= 0 {
			tests = append(tests, bpfInsn{notEqual, 5, 0, int32(r.major)})
		}
		if r.minor >= 0 {
			tests = append(tests, bpfInsn{notEqual, 6, 0, int32(r.minor)})
		}
		var then []bpfInsn
		if r.allow {
			then = []bpfInsn{{and, 4, 0, int32(^r.access & accessAll)}, {notEqual, 4, 2, 0}, {mov, 0, 0, 1}, {exit, 0, 0, 0}}
		} else {
			then = []bpfInsn{{set, 4, 1, int32(r.access)}, {jump, 0, 2, 0}, {mov, 0, 0, 0}, {exit, 0, 0, 0}}
		}
		for i := range tests {
			tests[i].off = int16(len(tests) - i - 1 + len(then))
		}
		p = append(append(p, tests...), then...)
	}
	return append(p, bpfInsn{mov, 0, 0, 0}, bpfInsn{exit, 0, 0, 0})
}

// attachDeviceFilter loads the program and attaches it to the group, then detaches
// those that were there: in between both must agree, so nothing is ever open.
func attachDeviceFilter(dir string, rules []deviceRule) error {
	insns := deviceProgram(rules)
	license := []byte("Apache-2.0\x00")
	var pin runtime.Pinner // the kernel reads them by numbers that Go does not see as pointers
	defer pin.Unpin()
	pin.Pin(&insns[0])
	pin.Pin(&license[0])
	load := struct {
		kind, count    uint32
		insns, license uint64
		rest           [14]uint64 // a log, a name: none
	}{unix.BPF_PROG_TYPE_CGROUP_DEVICE, uint32(len(insns)), address(&insns[0]), address(&license[0]), [14]uint64{}}
	prog, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load))
	if err != nil {
		return fmt.Errorf("load the device filter of %s: %w", dir, err)
	}
	defer unix.Close(prog)
	group, err := os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer group.Close()
	old, err := deviceFilters(group)
	if err != nil {
		return fmt.Errorf("look for device filters of %s: %w", dir, err)
	}
	type attachment struct{ target, prog, kind, flags, replace, _ uint32 }
	at := attachment{uint32(group.Fd()), uint32(prog), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI, 0, 0}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&at), unsafe.Sizeof(at)); err != nil {
		return fmt.Errorf("attach the device filter to %s: %w", dir, err)
	}
	for _, id := range old {
		byID := struct{ id, next, flags uint32 }{id: id}
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&byID), unsafe.Sizeof(byID))
		if err == nil {
			at = attachment{target: uint32(group.Fd()), prog: uint32(fd), kind: unix.BPF_CGROUP_DEVICE}
			_, err = bpf(unix.BPF_PROG_DETACH, unsafe.Pointer(&at), unsafe.Sizeof(at))
			unix.Close(fd)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			slog.Warn(fmt.Sprintf("an older device filter of %s stays in force too: %v", dir, err))
		}
	}
	return nil
}

// deviceFilters lists the ids of the programs attached to the group itself.
func deviceFilters(group *os.File) ([]uint32, error) {
	ids := make([]uint32, 16)
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&ids[0])
	query := struct {
		target, kind, flags, attached uint32
		ids                           uint64
		count, _                      uint32
		rest                          [5]uint64
	}{target: uint32(group.Fd()), kind: unix.BPF_CGROUP_DEVICE, ids: address(&ids[0]), count: uint32(len(ids))}
	_, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&query), unsafe.Sizeof(query))
	return ids[:min(int(query.count), len(ids))], err
}

// address is a pointer as the kernel's union bpf_attr holds it, to what is pinned.
func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		if errno == unix.EAGAIN || errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return -1, errno
		}
		return int(fd), nil
	}
}
