package namespaces

import (
	"fmt"
	"os"
	"syscall"
)

// Stdio is what the program gets as its standard files; a nil one is /dev/null.
type Stdio struct {
	In, Out, Err *os.File
	// Console is one end of a unix socket over which the child sends the master of
	// its terminal (ReceiveConsole reads it); needed if the spec says Terminal.
	Console *os.File
}

// A Process is a child that has become its program.
type Process struct {
	*os.Process
}

// Wait reaps the process and returns its exit status as a shell words it:
// 128+signal for one that a signal ended.
func (p *Process) Wait() (int, error) {
	state, err := p.Process.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for %d: %w", p.Pid, err)
	}
	if ws := state.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// files lists the descriptors of the child from 0 on; see specFD.
func (s Stdio) files(spec, errs *os.File) []*os.File {
	files := []*os.File{s.In, s.Out, s.Err, spec, errs}
	if s.Console != nil {
		files = append(files, s.Console)
	}
	return files
}
