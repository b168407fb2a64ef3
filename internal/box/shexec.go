package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// call sees every simple command before it runs and may replace it.
func (s *shell) call(ctx context.Context, args []string) ([]string, error) {
	hc := interp.HandlerCtx(ctx)
	s.mu.Lock()
	s.waiting = args[0] == "wait"
	j := s.jobOf(hc)
	var killed syscall.Signal
	if j != nil {
		killed = j.killed
	}
	s.mu.Unlock()
	switch {
	case killed != 0:
		return []string{"exit", fmt.Sprint(128 + int(killed))}, nil
	case (args[0] == "echo" || args[0] == "printf") && broken(hc.Stdout):
		return []string{"exit", fmt.Sprint(128 + int(syscall.SIGPIPE))}, nil
	case args[0] == "echo" && (len(args) == 1 || !strings.HasPrefix(args[1], "-")) && isFile(hc.Stdout):
		return append([]string{mark + "echo"}, args[1:]...), nil
	case args[0] == "kill" || args[0] == "umask": // named builtins by the interpreter, which lacks them
		return append([]string{mark + args[0]}, args[1:]...), nil
	}
	return args, nil
}

// exec runs an external command and waits for it; after `exec` it becomes it.
func (s *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	replace := false
	switch name, marked := strings.CutPrefix(args[0], mark); {
	case marked && name == "umask":
		return umask(hc, args[1:])
	case marked && name == "echo":
		return echoFile(hc, args[1:])
	case marked && name == "kill":
		rest, left := s.killArgs(args[1:])
		if !left {
			return nil
		}
		args = append([]string{"kill"}, rest...)
	case marked:
		replace, args = true, args[1:]
	}
	path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
	if err != nil {
		return s.noCommand(hc, args[0])
	}
	if strings.Contains(args[0], "/") { // as typed: a script sees it in $0
		path = args[0]
	}
	if replace {
		return s.become(hc, path, args)
	}
	files, finish, err := s.files(hc)
	if err != nil {
		return refuse(hc, args[0], err, 126)
	}
	s.mu.Lock()
	j := s.jobOf(hc)
	if j == nil {
		s.foreground++
	}
	s.mu.Unlock()
	attr := &syscall.ProcAttr{Dir: hc.Dir, Env: exported(hc.Env), Files: files, Sys: &syscall.SysProcAttr{Setpgid: j != nil && s.interactive}}
	pid, done, err := s.kids.start(path, args, attr)
	if errors.Is(err, syscall.ENOEXEC) { // a script without #! is the shell's own business (exec(3p))
		if self, lerr := interp.LookPathDir(hc.Dir, hc.Env, "sh"); lerr == nil {
			pid, done, err = s.kids.start(self, append([]string{"sh", path}, args[1:]...), attr)
		}
	}
	if err == nil {
		s.jobStarted(j, pid)
	}
	finish(false)
	var ws syscall.WaitStatus
	if err == nil {
		ws = <-done
	}
	finish(true)
	s.jobEnded(j, pid)
	switch {
	case err != nil:
		return refuse(hc, args[0], err, 126)
	case ws.Signaled():
		s.signaled(j, ws)
		return interp.ExitStatus(128 + ws.Signal())
	case ws.ExitStatus() != 0:
		return interp.ExitStatus(ws.ExitStatus())
	}
	return nil
}

func refuse(hc interp.HandlerContext, name string, err error, status uint8) error {
	fmt.Fprintf(hc.Stderr, "sh: %s: %v\n", name, err)
	return interp.ExitStatus(status)
}

func (s *shell) noCommand(hc interp.HandlerContext, name string) error {
	if !strings.Contains(name, "/") {
		return refuse(hc, name, errors.New("not found"), 127)
	}
	path := name
	if name[0] != '/' {
		path = hc.Dir + "/" + name
	}
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return refuse(hc, name, errors.Unwrap(err), 127)
	case fi.IsDir():
		return refuse(hc, name, syscall.EISDIR, 126)
	}
	return refuse(hc, name, syscall.EACCES, 126)
}

// files gives the child's descriptors 0 to 2. What is no file gets a pipe and a
// copier; finish(false) drops our ends after the fork, finish(true) waits.
func (s *shell) files(hc interp.HandlerContext) (fds []uintptr, finish func(bool), err error) {
	var ours []*os.File
	var copies sync.WaitGroup
	finish = func(wait bool) {
		for _, f := range ours {
			f.Close()
		}
		if ours = nil; wait {
			copies.Wait()
		}
	}
	null := func() (*os.File, error) {
		f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err == nil {
			ours = append(ours, f)
		}
		return f, err
	}
	in, _ := hc.Stdin.(*os.File)
	if in == nil || in == os.Stdin && s.interactive && s.jobOf(hc) != nil {
		if in, err = null(); err != nil {
			return nil, finish, err
		}
	}
	fds = append(fds, in.Fd())
	for _, w := range []io.Writer{hc.Stdout, hc.Stderr} {
		f, ok := w.(*os.File)
		if !ok && w == io.Discard {
			f, err = null()
		} else if !ok {
			var r *os.File
			if r, f, err = os.Pipe(); err == nil {
				ours = append(ours, f)
				copies.Go(func() { io.Copy(w, r); r.Close() })
			}
		}
		if err != nil {
			finish(false)
			return nil, finish, err
		}
		fds = append(fds, f.Fd())
	}
	return fds, finish, nil
}

// become is the builtin exec: same process, other program.
func (s *shell) become(hc interp.HandlerContext, path string, args []string) error {
	fds, _, err := s.files(hc)
	if err != nil {
		return refuse(hc, args[0], err, 126)
	}
	high := make([]int, 3) // out of the way first: one of them may sit on another's place
	for i, fd := range fds {
		if high[i], err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 10); err != nil {
			return refuse(hc, args[0], err, 126)
		}
	}
	for i, fd := range high {
		if err := unix.Dup3(fd, i, 0); err != nil {
			return refuse(hc, args[0], err, 126)
		}
	}
	if err = os.Chdir(hc.Dir); err == nil {
		err = syscall.Exec(path, args, exported(hc.Env))
	}
	fmt.Fprintf(os.Stderr, "sh: exec: %s: %s\n", args[0], why(err))
	os.Exit(126)
	return nil
}
