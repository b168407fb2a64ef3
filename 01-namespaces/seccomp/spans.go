package seccomp

import (
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A leaf is what is done with a number: return a verdict, or ask for arguments.
type leaf struct {
	verdict uint32
	call    *call // nil: the verdict; else its rules decide
	narrow  bool
}

// A span is the numbers from one up to the next span's that have the same leaf.
type span struct {
	from uint32
	leaf leaf
}

// lookUp returns, for each ABI, the numbers that the policy names, sorted. A name
// that an ABI does not have is none of its calls: profiles list the calls of all.
func (p *policy) lookUp(abis []int) map[int][]span {
	points := map[int][]span{}
	for _, i := range abis {
		points[i] = make([]span, 0, len(p.calls))
	}
	each(func(name string, numbers *[len(columns)]int) {
		c := p.calls[name]
		if c == nil {
			return
		}
		for _, i := range abis {
			if numbers[i] < 0 {
				continue
			}
			l := leaf{verdict: p.verdict}
			switch {
			case c.decided:
				l.verdict = c.verdict
			case len(c.rules) > 0:
				l = leaf{call: c, narrow: columns[i].narrow}
			}
			points[i] = append(points[i], span{columns[i].base + uint32(numbers[i]), l})
		}
	})
	for _, pt := range points { // the table is sorted by name
		slices.SortFunc(pt, func(a, b span) int { return int(a.from) - int(b.from) })
	}
	return points
}

// spans divides all 32-bit numbers under one value of seccomp_data.arch.
func (p *policy) spans(audit uint32, abis []int, points map[int][]span) []span {
	var all []span
	add := func(from uint32, l leaf) {
		if len(all) == 0 || all[len(all)-1].leaf != l {
			all = append(all, span{from, l})
		}
	}
	var newer leaf
	for _, i := range abis {
		if columns[i].audit != audit {
			continue
		}
		next := columns[i].base
		for _, pt := range points[i] {
			if pt.from > next {
				add(next, leaf{verdict: p.verdict})
			}
			add(pt.from, pt.leaf)
			next = pt.from + 1
		}
		if newer = (leaf{verdict: p.newer}); len(points[i]) == 0 {
			newer.verdict = p.verdict
		}
		add(next, newer)
	}
	if audit == unix.AUDIT_ARCH_X86_64 && !slices.ContainsFunc(abis, func(i int) bool { return columns[i].base == x32 }) {
		add(x32, leaf{verdict: unix.SECCOMP_RET_KILL_PROCESS})
		add(^uint32(0), newer) // -1, by which a tracer says: no call at all
	}
	return all
}

// tree returns the place of a binary search for the accumulator among spans.
func (p *program) tree(spans []span, otherwise uint32) int {
	if len(spans) == 1 {
		l := spans[0].leaf
		if l.call == nil {
			return p.ret(l.verdict)
		}
		return p.chain(l.call.rules, l.narrow, otherwise)
	}
	mid := len(spans) / 2
	upper := p.tree(spans[mid:], otherwise)
	lower := p.tree(spans[:mid], otherwise)
	return p.test(bpf.JumpGreaterOrEqual, spans[mid].from, upper, lower)
}
