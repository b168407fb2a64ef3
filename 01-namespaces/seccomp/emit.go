package seccomp

import "golang.org/x/net/bpf"

// A program is built from its end to its start: BPF jumps only go forward, so that
// whatever an instruction jumps to is there already. A place in it is the number
// of instructions from that place to the end; it never changes.
type program struct {
	reversed []bpf.Instruction
	rets     map[uint32]int // where a verdict was written last
}

func (p *program) push(i bpf.Instruction) (at int) {
	p.reversed = append(p.reversed, i)
	return len(p.reversed)
}

// skip is how far a jump to a place goes if it is pushed next.
func (p *program) skip(to int) int { return len(p.reversed) - to }

// ret returns a place that returns the verdict.
func (p *program) ret(verdict uint32) int {
	if at, ok := p.rets[verdict]; ok && p.skip(at) < 200 {
		return at
	}
	p.rets[verdict] = p.push(bpf.RetConstant{Val: verdict})
	return p.rets[verdict]
}

// test pushes a conditional jump. Its offsets have 8 bits: what is farther is
// reached over an unconditional jump, which has 32.
func (p *program) test(cond bpf.JumpTest, val uint32, yes, no int) int {
	if yes == no {
		return yes
	}
	if p.skip(yes) > 254 { // not 255: the jump for no may get between
		yes = p.push(bpf.Jump{Skip: uint32(p.skip(yes))})
	}
	if p.skip(no) > 255 {
		no = p.push(bpf.Jump{Skip: uint32(p.skip(no))})
	}
	return p.push(bpf.JumpIf{Cond: cond, Val: val, SkipTrue: uint8(p.skip(yes)), SkipFalse: uint8(p.skip(no))})
}

// The layout of struct seccomp_data (seccomp(2)).
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// load pushes the load of a field, to go on at a place.
func (p *program) load(off uint32, then int) int {
	if p.skip(then) > 0 {
		p.push(bpf.Jump{Skip: uint32(p.skip(then))})
	}
	return p.push(bpf.LoadAbsolute{Off: off, Size: 4})
}

// A field is 32 bits of an argument, and what is left of them under a mask.
type field struct{ off, mask uint32 }

// compare pushes a test of a field.
func (p *program) compare(f field, cond bpf.JumpTest, val uint32, yes, no int) int {
	if yes == no {
		return yes
	}
	at := p.test(cond, val, yes, no)
	if f.mask != ^uint32(0) {
		at = p.push(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: f.mask})
	}
	return p.load(f.off, at)
}
