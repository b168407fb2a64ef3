package seccomp

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// A rule is a verdict for the calls of which every condition holds.
type rule struct {
	verdict uint32
	args    []specs.LinuxSeccompArg
}

// checkArgs refuses what match could not compile.
func checkArgs(args []specs.LinuxSeccompArg) error {
	for _, a := range args {
		if a.Index > 5 {
			return fmt.Errorf("argument %d: a system call has 0 to 5", a.Index)
		}
		switch a.Op {
		case specs.OpEqualTo, specs.OpNotEqual, specs.OpMaskedEqual,
			specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual:
		default:
			return fmt.Errorf("argument %d: no operator %q", a.Index, a.Op)
		}
	}
	return nil
}

// conjunctions splits conditions as runc does: they all must hold, unless two are
// on one argument; then each is a rule by itself (libseccomp has one condition an
// argument, and profiles rely on it to list values).
func conjunctions(args []specs.LinuxSeccompArg) [][]specs.LinuxSeccompArg {
	var seen [6]bool
	for _, a := range args {
		if seen[a.Index] {
			var single [][]specs.LinuxSeccompArg
			for i := range args {
				single = append(single, args[i:i+1])
			}
			return single
		}
		seen[a.Index] = true
	}
	return [][]specs.LinuxSeccompArg{args}
}

// chain returns the place that tries the rules in order; otherwise is for calls
// that none of them matches.
func (p *program) chain(rules []rule, narrow bool, otherwise uint32) int {
	next := p.ret(otherwise)
	for i := len(rules) - 1; i >= 0; i-- {
		at := p.ret(rules[i].verdict)
		for j := len(rules[i].args) - 1; j >= 0; j-- {
			at = p.match(&rules[i].args[j], narrow, at, next)
		}
		next = at
	}
	return next
}

// match returns the place that compares one argument. It is 64 bits wide and the
// accumulator 32, so it is compared in halves, the upper one first. A narrow ABI
// has only the lower half.
func (p *program) match(a *specs.LinuxSeccompArg, narrow bool, yes, no int) int {
	lo := field{offArgs + 8*uint32(a.Index), ^uint32(0)} // little-endian, as both our machines are
	hi := field{lo.off + 4, ^uint32(0)}
	want := a.Value
	cond := bpf.JumpEqual
	switch a.Op {
	case specs.OpNotEqual:
		yes, no = no, yes
	case specs.OpMaskedEqual:
		lo.mask, hi.mask, want = uint32(a.Value), uint32(a.Value>>32), a.ValueTwo
	case specs.OpGreaterThan:
		cond = bpf.JumpGreaterThan
	case specs.OpGreaterEqual:
		cond = bpf.JumpGreaterOrEqual
	case specs.OpLessThan: // not ≥
		cond, yes, no = bpf.JumpGreaterOrEqual, no, yes
	case specs.OpLessEqual: // not >
		cond, yes, no = bpf.JumpGreaterThan, no, yes
	}
	at := p.compare(lo, cond, uint32(want), yes, no)
	if narrow {
		return at
	}
	unequal := no
	if cond != bpf.JumpEqual {
		unequal = p.compare(hi, bpf.JumpGreaterThan, uint32(want>>32), yes, no)
	}
	return p.compare(hi, bpf.JumpEqual, uint32(want>>32), at, unequal)
}
