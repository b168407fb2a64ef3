package shim

import (
	"errors"
	"fmt"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/04-runtime/oci"
)

// The protocol: a connection has one request, a line of JSON, and answers, a line each.
// It stands for what it asked for: who closes it has gone.
//
//	{"do":"state"}                     → {"state":{…}}
//	{"do":"start"}                     → {} once the program runs
//	{"do":"kill","signal":15}          → {}
//	{"do":"resize","width":80,"height":24}, {"do":"reopen"} → {}
//	{"do":"wait"}                      → {"state":{…}} once it has exited
//	{"do":"attach"} + stdin, stdout, stderr  → {} … {"state":{…}} once it has exited
//	{"do":"exec","process":{…}} + stdin, stdout, stderr [, console socket]
//	                                   → {} once it runs … {"code":0} once it ended
//	any                                → {"error":"…"} in the place of each
//
// The descriptors of exec become the process's own: nothing of what it reads and writes
// goes through the shim. Who closes the connection kills it.

type request struct {
	Do            string         `json:"do"`
	Signal        unix.Signal    `json:"signal,omitempty"`
	All           bool           `json:"all,omitempty"`
	Width, Height uint16         `json:",omitempty"`
	Process       *specs.Process `json:"process,omitempty"`
}

type answer struct {
	State *State `json:"state,omitempty"`
	Code  *int   `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	// NotRunning tells this error from others.
	NotRunning bool `json:"notRunning,omitempty"`

	gone bool // the shim has ended, this is what it left
}

func (s *shim) serve(c *conn) {
	var r request
	files, err := c.request(&r)
	if err != nil {
		return
	}
	defer closeAll(files)
	a, err := s.do(c, r, files)
	if err != nil {
		var state *oci.OperationError
		a = answer{Error: err.Error(), NotRunning: errors.As(err, &state)}
	}
	c.send(a)
}

func (s *shim) do(c *conn, r request, files []*os.File) (a answer, err error) {
	switch r.Do {
	case "state":
	case "start":
		return a, s.start()
	case "kill":
		return a, s.kill(r.Signal, r.All)
	case "resize":
		return a, s.stdio.resize(r.Width, r.Height)
	case "reopen":
		return a, s.stdio.log.Reopen()
	case "wait":
		select {
		case <-s.done:
		case <-c.gone():
			return a, nil
		}
	case "attach":
		if len(files) != 3 {
			return a, errors.New("attach: three descriptors are wanted")
		}
		if err := c.send(answer{}); err != nil {
			return a, nil
		}
		s.stdio.attach(files, c.gone())
	case "exec":
		return s.exec(c, r.Process, files)
	default:
		return a, fmt.Errorf("there is no request %q", r.Do)
	}
	state := s.current()
	return answer{State: &state}, nil
}

// kill sends a signal to the container's first process, or to all. Where there is no
// group nobody knows who all are: then it is the first one alone.
func (s *shim) kill(sig unix.Signal, all bool) error {
	if len(s.groups) > 0 {
		return s.rt.Kill(s.ID, sig, all)
	}
	s.calls.Lock() // nobody waits for it meanwhile: the PID stays its own
	defer s.calls.Unlock()
	select {
	case <-s.exited:
		return &oci.OperationError{Op: oci.OpKill, Status: oci.Stopped}
	default:
		return unix.Kill(s.child, sig)
	}
}

func (s *shim) start() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	err := s.rt.Start(s.ID)
	s.mu.Lock()
	var refused *oci.OperationError
	if err == nil {
		s.state.StartedAt = time.Now().UTC()
	} else if !errors.As(err, &refused) {
		s.state.Error = err.Error() // its process ends, and is waited for after this
	}
	s.mu.Unlock()
	s.save()
	shed()
	return err
}

// exec runs a further process in the container.
func (s *shim) exec(c *conn, p *specs.Process, files []*os.File) (a answer, err error) {
	if p == nil || len(files) < 3 || p.Terminal != (len(files) == 4) {
		return a, errors.New("exec: a process and three descriptors are wanted, with a terminal four")
	}
	o := oci.Options{Stdio: [3]*os.File(files[:3])}
	if p.Terminal {
		o.Console = files[3]
	}
	s.calls.Lock()
	pid, err := s.rt.Exec(s.ID, p, o)
	closeAll(files) // the process has them, and its end must be seen at the other ends
	if err != nil {
		s.calls.Unlock()
		return a, err
	}
	ended := make(chan unix.WaitStatus, 1)
	s.execs[pid] = ended
	s.calls.Unlock()
	if err := c.send(answer{}); err != nil {
		s.killExec(pid)
	}
	gone := c.gone()
	for {
		select {
		case ws := <-ended:
			code, _ := Exit(ws)
			return answer{Code: &code}, nil
		case <-gone:
			s.killExec(pid)
			gone = nil
		}
	}
}

// killExec kills a process of exec unless it has been waited for.
func (s *shim) killExec(pid int) {
	s.calls.Lock()
	defer s.calls.Unlock()
	if _, ok := s.execs[pid]; ok {
		unix.Kill(pid, unix.SIGKILL)
	}
}
