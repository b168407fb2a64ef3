package seccomp

import (
	_ "embed"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// syscalls has a line for each system call, sorted by name, and a column for each
// of columns: its number there or "-". It is text, searched when a profile is
// compiled, because five maps would cost every start of the program their filling.
// table_test.go makes it from golang.org/x/sys and keeps it so.
//
//go:embed syscalls.txt
var syscalls string

// An abi is one way to make system calls.
type abi struct {
	arch   specs.Arch
	audit  uint32 // what seccomp_data.arch says
	base   uint32 // added to every number
	narrow bool   // arguments have 32 bits
}

// x32 marks the numbers of the x32 ABI, which bear x86_64's arch.
const x32 = 0x40000000

// columns are in the order of the table. The first two machines run what follows
// them up to the next.
var columns = [...]abi{
	{specs.ArchX86_64, unix.AUDIT_ARCH_X86_64, 0, false},
	{specs.ArchX86, unix.AUDIT_ARCH_I386, 0, true},
	{specs.ArchX32, unix.AUDIT_ARCH_X86_64, x32, true},
	{specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64, 0, false},
	{specs.ArchARM, unix.AUDIT_ARCH_ARM, 0, true},
}

// machine returns the columns that a machine can run, its own first.
func machine(goarch string) []int {
	switch goarch {
	case "amd64":
		return []int{0, 1, 2}
	case "arm64":
		return []int{3, 4}
	}
	return nil
}

// foreign are the architectures of the runtime-spec that no machine of ours runs.
const foreign = " MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB "

func known(a specs.Arch) bool {
	return slices.ContainsFunc(columns[:], func(c abi) bool { return c.arch == a }) ||
		strings.Contains(foreign, " "+strings.TrimPrefix(string(a), "SCMP_ARCH_")+" ")
}

// each calls f with the name and the numbers (-1: none) of every line of the table.
func each(f func(name string, numbers *[len(columns)]int)) {
	var n [len(columns)]int
	for rest := syscalls; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		name, line, _ := strings.Cut(line, " ")
		for i := range n {
			var field string
			field, line, _ = strings.Cut(line, " ")
			n[i] = -1
			if field != "-" {
				n[i] = atoi(field)
			}
		}
		f(name, &n)
	}
}

func atoi(s string) (n int) {
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// Number returns a system call's number on this machine's own architecture.
func Number(name string) (uint32, bool) {
	own := machine(runtime.GOARCH)
	number := -1
	if own != nil {
		each(func(n string, numbers *[len(columns)]int) {
			if n == name {
				number = numbers[own[0]]
			}
		})
	}
	return uint32(number), number >= 0
}
