package seccomp

import (
	"fmt"
	"runtime"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Compile returns the program that decides as the profile says, on this machine.
func Compile(profile *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	raw, err := compile(profile, runtime.GOARCH)
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}

// A call is what the profile says of one system call.
type call struct {
	decided bool // by a rule without conditions
	verdict uint32
	rules   []rule
}

// A policy is a profile read once: by name, whatever the architecture.
type policy struct {
	calls   map[string]*call
	verdict uint32 // for calls that no rule decides
	newer   uint32 // for calls newer than the newest that is named
}

func compile(profile *specs.LinuxSeccomp, goarch string) ([]bpf.RawInstruction, error) {
	own := machine(goarch)
	if own == nil {
		return nil, fmt.Errorf("no table of system calls for %s", goarch)
	}
	if profile.ListenerPath != "" {
		return nil, fmt.Errorf("listenerPath %q: no supervisor can be asked here", profile.ListenerPath)
	}
	// The machine's own architecture is in every profile.
	abis := []int{own[0]}
	for _, a := range profile.Architectures {
		if !known(a) {
			return nil, fmt.Errorf("no architecture %q", a)
		}
		for _, i := range own[1:] {
			if columns[i].arch == a && !slices.Contains(abis, i) {
				abis = append(abis, i)
			}
		}
	}
	policy, err := read(profile)
	if err != nil {
		return nil, err
	}
	points := policy.lookUp(abis)

	p := &program{reversed: make([]bpf.Instruction, 0, 512), rets: map[uint32]int{}}
	sections := map[uint32]int{} // by seccomp_data.arch: where its part begins
	for _, i := range abis {
		if audit := columns[i].audit; sections[audit] == 0 {
			spans := policy.spans(audit, abis, points)
			sections[audit] = p.load(offNr, p.tree(spans, policy.verdict))
		}
	}
	at := p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	for i := len(abis) - 1; i >= 0; i-- { // the own one is asked for first
		if a := columns[abis[i]]; a.base == 0 {
			at = p.test(bpf.JumpEqual, a.audit, sections[a.audit], at)
		}
	}
	p.load(offArch, at)
	slices.Reverse(p.reversed)
	if len(p.reversed) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("the profile needs %d instructions, and the kernel takes %d", len(p.reversed), unix.BPF_MAXINSNS)
	}
	return bpf.Assemble(p.reversed)
}

// read collects the rules by name. Those that say what holds anyway only make
// their calls known, as with runc: they are older than the profile.
func read(profile *specs.LinuxSeccomp) (*policy, error) {
	def, allows, err := verdict(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("defaultAction: %w", err)
	}
	names := 0
	for _, s := range profile.Syscalls {
		names += len(s.Names)
	}
	slab := make([]call, 0, names)
	p := &policy{calls: make(map[string]*call, names), verdict: def, newer: enosys}
	if allows {
		p.newer = def
	}
	for i, s := range profile.Syscalls {
		v, _, err := verdict(s.Action, s.ErrnoRet)
		if err == nil {
			err = checkArgs(s.Args)
		}
		if err == nil && len(s.Names) == 0 {
			err = fmt.Errorf("no names")
		}
		if err != nil {
			return nil, fmt.Errorf("syscalls[%d] %v: %w", i, s.Names, err)
		}
		for _, name := range s.Names {
			c := p.calls[name]
			if c == nil {
				slab = append(slab, call{})
				c = &slab[len(slab)-1]
				p.calls[name] = c
			}
			switch {
			case v == def || c.decided:
			case len(s.Args) == 0:
				c.decided, c.verdict = true, v
			default:
				for _, args := range conjunctions(s.Args) {
					c.rules = append(c.rules, rule{v, args})
				}
			}
		}
	}
	return p, nil
}
