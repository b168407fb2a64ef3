package oci

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

// foreground runs begin, which starts a process as a child of ours, and waits for its
// end: signals are forwarded, and with terminal ours is joined to the process's. begin
// gets the socket for the terminal's master. The status is as a shell words it. end
// comes last, and no signal ends this process before it has.
func foreground(terminal bool, begin func(console *os.File) (pid int, err error), end func(error) error) (status int, err error) {
	var parent, console *os.File
	if terminal {
		if parent, console, err = namespaces.NewConsole(); err != nil {
			return 0, err
		}
		defer parent.Close()
	}
	// From before there is a process, so that none is lost, and to the very end of this
	// one: a signal that comes late must not take the place of the status.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	defer func() { err = errors.Join(err, end(err)) }()
	pid, err := begin(console)
	if console != nil {
		console.Close()
	}
	if err != nil {
		return 0, err
	}
	if terminal {
		master, err := namespaces.ReceiveConsole(parent)
		if err != nil {
			return 0, errors.Join(err, unix.Kill(pid, unix.SIGKILL))
		}
		defer master.Close()
		t, err := namespaces.Attach(master, os.Stdin, os.Stdout)
		if err != nil {
			return 0, errors.Join(err, unix.Kill(pid, unix.SIGKILL))
		}
		defer t.Detach()
	}
	ended := make(chan error, 1)
	p := &namespaces.Process{Pid: pid}
	go func() {
		var err error
		status, err = p.Wait()
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			return status, err
		case s := <-signals:
			switch s {
			case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGWINCH: // ours; SIGURG is Go's own
			default:
				p.Signal(s.(syscall.Signal))
			}
		}
	}
}

// Run creates a container, starts it, waits for its end and deletes it (unless keep).
func (r *Runtime) Run(id string, o Options, terminal, keep bool) (status int, err error) {
	made := false
	return foreground(terminal, func(console *os.File) (int, error) {
		if console != nil {
			o.Console = console
		}
		c, err := r.Create(id, o)
		if err != nil {
			return 0, err
		}
		made = true
		return c.PID, r.Start(id)
	}, func(err error) error {
		if made && (!keep || err != nil) {
			return r.Delete(id, true)
		}
		return nil
	})
}
