package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Enter is Start for a spec that joins namespaces: those with a Path are joined as
// exercise 1.7 says, those without are made, save a user namespace, whose ids
// nobody would map. The program stays in the cgroup of the caller; whoever wants
// it in the other's moves it there (chapter 2).
//
//	caller ── raw child: the steps of Join ── Fork ── Init, executed again ── program
//
// Nothing runs in between that the caller would have to forward signals or an exit
// status for: the Process is the program. It ends by SIGKILL when the PID namespace
// that it joined loses its PID 1.
func Enter(spec *Spec, stdio Stdio) (*Process, error) {
	steps, err := Join(spec.Namespaces)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range steps {
			s.File.Close() // nil, if the step has none, is an error that does no harm
		}
	}()
	inside := *spec
	inside.Namespaces = slices.DeleteFunc(slices.Clone(spec.Namespaces), func(ns Namespace) bool { return ns.Path != "" })
	if inside.New(UserNS) {
		return nil, errors.New("spec: a new user namespace cannot be had together with a joined one: its ids are mapped by Start")
	}
	if len(inside.Namespaces) > 0 {
		flags, err := CloneFlags(&inside)
		if err != nil {
			return nil, err
		}
		steps = append(slices.Clip(steps), Step{Do: unshare, flags: flags})
		if inside.New(PID) {
			steps = append(steps, Step{Do: Fork})
		}
	}
	return startRaw(steps, &inside, stdio)
}

// startRaw is the handshake of exercise 1.2 with a raw child.
func startRaw(steps []Step, spec *Spec, stdio Stdio) (*Process, error) {
	exe, err := sealedSelf()
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	specR, specW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer specR.Close()
	defer specW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer errR.Close()
	defer errW.Close()
	p, err := takeSteps(steps, program{exe, []string{initName}, initEnv, stdio.files(specR, errW)})
	if err != nil {
		return nil, err
	}
	specR.Close()
	errW.Close()
	// A child that is gone already says why over the other pipe.
	_ = json.NewEncoder(specW).Encode(spec)
	specW.Close()
	said, err := io.ReadAll(errR)
	if err == nil && len(said) == 0 {
		return &Process{Pid: p.Pid}, nil
	}
	p.Wait()
	if err != nil {
		return nil, fmt.Errorf("wait for the program to start: %w", err)
	}
	return nil, decodeError(said)
}

// join is reached by a spec that should have gone to Enter.
func join(spec *Spec) error {
	return errors.New("the spec joins a namespace: it is for Enter, not for Start")
}
