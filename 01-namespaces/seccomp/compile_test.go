package seccomp

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A data is struct seccomp_data as far as a filter looks at it.
type data struct {
	arch, nr uint32
	args     [6]uint64
}

// run decides with the compiled program in golang.org/x/net/bpf's machine, which
// reads words as big-endian.
func run(t interface{ Fatal(...any) }, code []bpf.RawInstruction, d data) uint32 {
	packet := binary.BigEndian.AppendUint32(nil, d.nr)
	packet = binary.BigEndian.AppendUint32(packet, d.arch)
	packet = binary.BigEndian.AppendUint64(packet, 0)
	for _, a := range d.args {
		packet = binary.BigEndian.AppendUint32(packet, uint32(a))
		packet = binary.BigEndian.AppendUint32(packet, uint32(a>>32))
	}
	instructions, _ := bpf.Disassemble(code)
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := vm.Run(packet)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(verdict)
}

// decide is the profile read as its documentation words it, one call at a time.
func decide(profile *specs.LinuxSeccomp, goarch string, d data) uint32 {
	numbers := map[string][len(columns)]int{}
	each(func(name string, n *[len(columns)]int) { numbers[name] = *n })
	column := -1
	for _, i := range machine(goarch) {
		listed := i == machine(goarch)[0] || slices.Contains(profile.Architectures, columns[i].arch)
		x32call := columns[0].audit == d.arch && d.nr >= x32 && d.nr != ^uint32(0)
		if listed && columns[i].audit == d.arch && x32call == (columns[i].base != 0) {
			column = i
		}
		// -1 is an x32 call only to a profile that knows x32.
		if listed && columns[i].base != 0 && d.arch == columns[i].audit && d.nr == ^uint32(0) {
			column = i
		}
	}
	if column < 0 {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	def, allows, _ := verdict(profile.DefaultAction, profile.DefaultErrnoRet)
	number := func(name string) int64 {
		if n, ok := numbers[name]; ok && n[column] >= 0 {
			return int64(n[column]) + int64(columns[column].base)
		}
		return -1
	}
	newest := int64(-1)
	var first, conditional *uint32
	for _, s := range profile.Syscalls {
		v, _, _ := verdict(s.Action, s.ErrnoRet)
		for _, name := range s.Names {
			n := number(name)
			newest = max(newest, n)
			if n != int64(d.nr) || v == def {
				continue
			}
			if len(s.Args) == 0 && first == nil {
				first = &v
			}
			if len(s.Args) > 0 && conditional == nil && holds(s.Args, columns[column].narrow, d) {
				conditional = &v
			}
		}
	}
	switch {
	case first != nil:
		return *first
	case conditional != nil:
		return *conditional
	case newest >= 0 && int64(d.nr) > newest && !allows:
		return enosys
	}
	return def
}

func holds(args []specs.LinuxSeccompArg, narrow bool, d data) bool {
	all, anyOne, twice, seen := true, false, false, map[uint]bool{}
	for _, a := range args {
		twice = twice || seen[a.Index]
		seen[a.Index] = true
		got, one, two := d.args[a.Index], a.Value, a.ValueTwo
		if narrow {
			got, one, two = got&0xffffffff, one&0xffffffff, two&0xffffffff
		}
		ok := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo: got == one, specs.OpNotEqual: got != one, specs.OpMaskedEqual: got&one == two,
			specs.OpLessThan: got < one, specs.OpLessEqual: got <= one,
			specs.OpGreaterThan: got > one, specs.OpGreaterEqual: got >= one,
		}[a.Op]
		all, anyOne = all && ok, anyOne || ok
	}
	return all || twice && anyOne
}

var (
	operators = []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpMaskedEqual, specs.OpLessThan,
		specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual}
	actions = []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActLog, specs.ActTrap, specs.ActKill,
		specs.ActKillProcess, specs.ActTrace}
	// Few values, near each other and in both halves, so that conditions do hold.
	someValue = rapid.SampledFrom([]uint64{0, 1, 2, 40, 0xffffffff, 1 << 32, 1<<32 + 1, 1<<32 + 40, 2 << 32, 1<<63 + 2, 1<<64 - 1})
)

// names draws system calls from the whole table, or the same few.
func someNames(most int) *rapid.Generator[[]string] {
	var all []string
	each(func(name string, _ *[len(columns)]int) { all = append(all, name) })
	some := append([]string{"no_such_call"}, all[:8]...)
	return rapid.OneOf(rapid.SliceOfN(rapid.SampledFrom(some), 1, 3), rapid.SliceOfN(rapid.SampledFrom(all), 1, most))
}

func someProfile(rt *rapid.T) *specs.LinuxSeccomp {
	action := func(label string) (specs.LinuxSeccompAction, *uint) {
		a := rapid.SampledFrom(actions).Draw(rt, label)
		if a == specs.ActErrno && rapid.Bool().Draw(rt, "errno") {
			e := rapid.UintRange(1, 40).Draw(rt, "errnoRet")
			return a, &e
		}
		return a, nil
	}
	p := &specs.LinuxSeccomp{Architectures: rapid.SliceOfN(rapid.SampledFrom([]specs.Arch{
		specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM, specs.ArchS390X}), 0, 4).Draw(rt, "architectures")}
	p.DefaultAction, p.DefaultErrnoRet = action("default")
	for range rapid.IntRange(0, 12).Draw(rt, "rules") {
		s := specs.LinuxSyscall{Names: someNames(60).Draw(rt, "names")}
		s.Action, s.ErrnoRet = action("action")
		for range rapid.SampledFrom([]int{0, 0, 1, 1, 2, 3}).Draw(rt, "conditions") {
			s.Args = append(s.Args, specs.LinuxSeccompArg{Index: rapid.UintRange(0, 5).Draw(rt, "index"),
				Value: someValue.Draw(rt, "value"), ValueTwo: someValue.Draw(rt, "two"), Op: rapid.SampledFrom(operators).Draw(rt, "op")})
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

func TestCompile_DecidesAsTheProfileReads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := someProfile(rt)
		goarch := rapid.SampledFrom([]string{"amd64", "arm64"}).Draw(rt, "machine")
		code, err := compile(p, goarch)
		require.NoError(rt, err)
		for range 20 {
			d := data{arch: rapid.SampledFrom([]uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64,
				unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_S390X}).Draw(rt, "arch")}
			if len(p.Syscalls) > 0 && rapid.Bool().Draw(rt, "named") {
				s := rapid.SampledFrom(p.Syscalls).Draw(rt, "rule")
				name := rapid.SampledFrom(s.Names).Draw(rt, "name")
				each(func(n string, numbers *[len(columns)]int) {
					column := rapid.IntRange(0, len(columns)-1)
					if n == name {
						i := column.Draw(rt, "column")
						d.nr = uint32(max(numbers[i], 0)) + columns[i].base
						d.arch = columns[i].audit
					}
				})
			} else {
				d.nr = rapid.OneOf(rapid.Uint32Range(0, 500), rapid.Uint32Range(x32-2, x32+560), rapid.Just(^uint32(0))).Draw(rt, "nr")
			}
			for i := range d.args {
				d.args[i] = someValue.Draw(rt, "arg")
			}
			if want, got := decide(p, goarch, d), run(rt, code, d); want != got {
				rt.Fatalf("%+v: got %#x, want %#x", d, got, want)
			}
		}
	})
}

// A rule of its own for every call, each with conditions, is farther than 255
// instructions across many times.
func TestCompile_LongJumps(t *testing.T) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	i := uint64(0)
	each(func(name string, _ *[len(columns)]int) {
		i++
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
			{Value: i, Op: specs.OpGreaterEqual}}})
	})
	code, err := compile(p, "amd64")
	require.NoError(t, err)
	require.Greater(t, len(code), 2000)
	i = 0
	each(func(name string, numbers *[len(columns)]int) {
		i++
		for _, args := range [][6]uint64{{i}, {i - 1}, {i << 32}} {
			d := data{unix.AUDIT_ARCH_X86_64, uint32(max(numbers[0], 0)), args}
			require.Equal(t, decide(p, "amd64", d), run(t, code, d), "%s %+v", name, d)
		}
	})
}

func TestCompile_Refuses(t *testing.T) {
	errno, huge := uint(1), uint(5000)
	rule := func(s specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{s}}
	}
	many := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}}
	for i := range uint64(1100) {
		many.Syscalls = append(many.Syscalls, specs.LinuxSyscall{Names: []string{"write"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Value: i, Op: specs.OpEqualTo}}})
	}
	for want, p := range map[string]*specs.LinuxSeccomp{
		`defaultAction: no action "SCMP_ACT_MAYBE"`:      {DefaultAction: "SCMP_ACT_MAYBE"},
		`defaultAction: SCMP_ACT_ALLOW has no errno`:     {DefaultAction: specs.ActAllow, DefaultErrnoRet: &errno},
		`no architecture "SCMP_ARCH_Z80"`:                {DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_Z80"}},
		`listenerPath "/run/agent": no supervisor`:       {DefaultAction: specs.ActAllow, ListenerPath: "/run/agent"},
		`syscalls[0] [read]: SCMP_ACT_NOTIFY: no superv`: rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActNotify}),
		`syscalls[0] [read]: SCMP_ACT_ERRNO: errno 5000`: rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, ErrnoRet: &huge}),
		`syscalls[0] []: no names`:                       rule(specs.LinuxSyscall{Action: specs.ActErrno}),
		`[read]: argument 6: a system call has 0 to 5`:   rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}),
		`[read]: argument 1: no operator "SCMP_CMP_ISH"`: rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 1, Op: "SCMP_CMP_ISH"}}}),
		`instructions, and the kernel takes 4096`:        many,
	} {
		_, err := Compile(p)
		require.ErrorContains(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "seccomp: "), err)
	}
	_, err := Flags(&specs.LinuxSeccomp{Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_X"}})
	require.ErrorContains(t, err, `no flag "SECCOMP_FILTER_FLAG_X"`)
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		code, err := Compile(Default())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(code)), "instructions")
	}
}
