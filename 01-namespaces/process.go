package namespaces

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stdio is what the program gets as its standard files; a nil one is /dev/null.
type Stdio struct {
	In, Out, Err *os.File
	// Console is one end of a unix socket over which the child sends the master of
	// its terminal (NewConsole makes it); needed if the spec says Terminal.
	Console *os.File
}

// files lists the files of the child from descriptor 0 on; see specFD.
func (s Stdio) files(spec, errs *os.File) []*os.File {
	files := []*os.File{s.In, s.Out, s.Err, spec, errs}
	for i := range 3 {
		if files[i] == nil {
			files[i] = devNull()
		}
	}
	if s.Console != nil {
		files = append(files, s.Console)
	}
	return files
}

// descriptors is files as syscall.ForkExec wants it.
func (s Stdio) descriptors(spec, errs *os.File) []uintptr {
	var fds []uintptr
	for _, f := range s.files(spec, errs) {
		fds = append(fds, f.Fd())
	}
	return fds
}

var devNull = sync.OnceValue(func() *os.File {
	f, _ := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	return f
})

// A Process is a child that has become its program. It is not an os.Process: the
// first of these in a program forks once more, to see whether pidfds work.
type Process struct {
	Pid int

	mu     sync.Mutex
	reaped bool // Pid may be another process by now
}

// Wait reaps the process and returns its exit status as a shell words it:
// 128+signal for one that a signal ended.
func (p *Process) Wait() (int, error) {
	// First wait and leave it a zombie, so that no signal goes to a stranger.
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		} else if err != unix.EINTR {
			return 0, fmt.Errorf("wait for %d: %w", p.Pid, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(p.Pid, &ws, 0, nil); err != nil {
		return 0, fmt.Errorf("wait for %d: %w", p.Pid, err)
	}
	p.reaped = true
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// Signal sends a signal; after Wait it is os.ErrProcessDone.
func (p *Process) Signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.Pid, s)
}

// Kill ends it, and as PID 1 all of its namespace.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }
