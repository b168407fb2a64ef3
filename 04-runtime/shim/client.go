package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrNotRunning is that the container's state rules the request out: its process has
// not begun, or has ended.
var ErrNotRunning = errors.New("container not running")

// ErrLost is that the shim is gone and nobody knows how the container ends, or ended.
var ErrLost = errors.New("the container's shim is gone")

// Start starts a shim for the bundle in dir and returns once the container is created.
// program is the file of coracle-runtime. The shim has a session and a process group of
// its own, so that no signal to the caller's reaches it.
func Start(ctx context.Context, program, dir string, c Config) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), b, 0o600); err != nil {
		return err
	}
	stderr, err := os.OpenFile(filepath.Join(dir, errorFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer stderr.Close()
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	cmd := exec.Command(program, "shim", dir)
	cmd.Args[0] = "coracle-runtime"
	cmd.Dir = "/"
	cmd.Stderr, cmd.ExtraFiles = stderr, []*os.File{theirs}
	// One thread runs Go at a time, and little garbage is kept: it waits, mostly.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=20")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start a shim: %w", err)
	}
	go cmd.Wait() // as long as this process lives, it is the shim's parent
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	said, err := io.ReadAll(ours)
	switch {
	case !stop():
		return fmt.Errorf("create container %s: %w", c.ID, ctx.Err())
	case err != nil:
		return err
	case len(said) == 0:
		return fmt.Errorf("create container %s: its shim ended: see %s", c.ID, stderr.Name())
	case string(said) != "ok":
		return errors.New(string(said))
	}
	return nil
}

// A Client speaks to the shim of a folder, each call over a connection of its own. Once
// the container has ended and the shim with it, it answers by what that left.
type Client struct{ Dir string }

// call makes a request that has one answer.
func (c Client) call(ctx context.Context, r request) (answer, error) {
	return c.stay(ctx, r, nil, nil)
}

// stay makes a request; with f it has two answers, and f is called between them.
func (c Client) stay(ctx context.Context, r request, files []*os.File, f func()) (a answer, err error) {
	conn, err := dial(c.Dir)
	if err != nil {
		return c.without(err)
	}
	defer conn.close()
	defer context.AfterFunc(ctx, conn.close)()
	if err = conn.send(r, files...); err != nil {
		err = fmt.Errorf("%w: %w", errHungUp, err) // EPIPE
	} else {
		a, err = conn.answer(ctx)
	}
	if err == nil && f != nil {
		f()
		a, err = conn.answer(ctx)
	}
	if errors.Is(err, errHungUp) && ctx.Err() == nil {
		return c.without(err)
	}
	return a, err
}

var errHungUp = errors.New("the shim does not answer")

// without answers in the place of a shim that did not.
func (c Client) without(cause error) (a answer, err error) {
	for range 100 { // one that is ending closes its socket before it is gone
		s, life, err := Find(c.Dir)
		switch {
		case err != nil:
			return a, err
		case life == Ended:
			return answer{State: &s, gone: true}, nil
		case life == Lost:
			return a, fmt.Errorf("%w: %w", ErrLost, cause)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return a, cause
}

func (c *conn) answer(ctx context.Context) (a answer, err error) {
	switch err := c.in.Decode(&a); {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case err != nil:
		return a, fmt.Errorf("%w: %w", errHungUp, err)
	case a.NotRunning:
		return a, fmt.Errorf("%w: %s", ErrNotRunning, a.Error)
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

// State asks for the container's state; Exited is set once its log is complete.
func (c Client) State(ctx context.Context) (State, error) {
	return state(c.call(ctx, request{Do: "state"}))
}

// Wait waits until the container has exited, and its log is complete.
func (c Client) Wait(ctx context.Context) (State, error) {
	return state(c.call(ctx, request{Do: "wait"}))
}

// running is for requests that mean nothing once the container has ended.
func running(a answer, err error) error {
	if err == nil && a.gone {
		err = fmt.Errorf("%w: it has ended", ErrNotRunning)
	}
	return err
}

func state(a answer, err error) (State, error) {
	if err == nil && a.State == nil {
		err = errors.New("the shim's answer has no state")
	}
	if err != nil {
		return State{}, err
	}
	return *a.State, nil
}

// Run lets the container's program begin; nil: it runs.
func (c Client) Run(ctx context.Context) error {
	return running(c.call(ctx, request{Do: "start"}))
}

// Kill sends a signal to the container's first process, or to all.
func (c Client) Kill(ctx context.Context, sig unix.Signal, all bool) error {
	return running(c.call(ctx, request{Do: "kill", Signal: sig, All: all}))
}

// Resize gives the container's terminal a size.
func (c Client) Resize(ctx context.Context, width, height uint16) error {
	return running(c.call(ctx, request{Do: "resize", Width: width, Height: height}))
}

// ReopenLog is for after the log was renamed.
func (c Client) ReopenLog(ctx context.Context) error {
	return running(c.call(ctx, request{Do: "reopen"}))
}

// Attach connects the files to the container's streams until it exits or ctx ends; what
// it writes is then at the other ends of out and err, which are closed. The files are
// duplicated: the caller closes his own, best once attached is called.
func (c Client) Attach(ctx context.Context, files [3]*os.File, attached func()) error {
	return running(c.stay(ctx, request{Do: "attach"}, files[:], attached))
}

// Exec runs a process with these standard files and returns its exit code; with a
// terminal, console is the socket that its master is sent to. It is killed when ctx ends.
func (c Client) Exec(ctx context.Context, p *specs.Process, files [3]*os.File, console *os.File, begun func()) (int, error) {
	all := files[:]
	if console != nil {
		all = append(all, console)
	}
	a, err := c.stay(ctx, request{Do: "exec", Process: p}, all, begun)
	if err = running(a, err); err == nil && a.Code == nil {
		err = errors.New("the shim's answer has no exit code")
	}
	if err != nil {
		return 0, err
	}
	return *a.Code, nil
}
