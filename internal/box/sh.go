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

	"golang.org/x/term"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell is one sh: the interpreter, its children and its background jobs.
type shell struct {
	c           *cmd
	r           *interp.Runner
	kids        children
	interactive bool

	mu         sync.Mutex
	cancel     context.CancelFunc // ends the line that runs now
	foreground int                // children that ^C reaches by itself
	waiting    bool               // in the builtin wait, which nothing can interrupt
	jobs       map[int]*job       // by the number in $!: g1, g2, …
}

func sh(c *cmd) {
	var opts []string
	var command, login, fromStdin, interactive bool
	for len(c.args) > 0 && len(c.args[0]) > 1 && (c.args[0][0] == '-' || c.args[0][0] == '+') {
		a := c.args[0]
		if c.args = c.args[1:]; a == "--" {
			break
		}
		for _, o := range a[1:] {
			switch {
			case o == 'c':
				command = true
			case o == 'i':
				interactive = true
			case o == 'l':
				login = true
			case o == 's':
				fromStdin = true
			case o == 'o' && len(c.args) > 0:
				opts, c.args = append(opts, a[:1]+"o", c.args[0]), c.args[1:]
			case strings.ContainsRune("aefnux", o):
				opts = append(opts, a[:1]+string(o))
			default:
				c.die(2, "-%c: no such option (usage: sh %s)", o, c.usage)
			}
		}
	}
	name, params, text := "sh", c.args, ""
	if command {
		if len(params) == 0 {
			c.die(2, "-c: needs a command")
		}
		text, params = params[0], params[1:]
	}
	script := !command && !fromStdin && len(params) > 0
	if (command || script) && len(params) > 0 {
		name, params = params[0], params[1:]
	}
	interactive = interactive || !command && !script && term.IsTerminal(0) && term.IsTerminal(2)

	s := newShell(c, append(append(opts, "--"), params...), interactive)
	if login {
		s.source("/etc/profile")
	}
	var status int
	switch {
	case command:
		status = s.runText(strings.NewReader(text), name)
	case script:
		file, err := os.Open(name)
		if err != nil {
			c.die(127, "%s", why(err))
		}
		status = s.runText(file, name)
		file.Close()
	default:
		status = s.runLines()
	}
	c.exit(status)
}

func newShell(c *cmd, params []string, interactive bool) *shell {
	s := &shell{c: c, interactive: interactive, jobs: map[int]*job{}}
	env := os.Environ()
	for _, def := range []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home()} {
		name, _, _ := strings.Cut(def, "=")
		if _, ok := os.LookupEnv(name); !ok {
			env = append(env, def)
		}
	}
	if _, err := os.Getwd(); err != nil { // the directory is gone, or not below our root
		c.check(os.Chdir("/"))
	}
	var err error
	s.r, err = interp.New(interp.StdIO(os.Stdin, os.Stdout, os.Stderr), interp.Env(expand.ListEnviron(env...)),
		interp.Params(params...), interp.Interactive(interactive), interp.CallHandler(s.call), interp.OpenHandler(open),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }))
	c.check(err)
	if os.Getpid() == 1 {
		s.kids.watch() // orphans of the whole namespace become ours to reap
	}
	if interactive {
		s.catchSignals()
	} else {
		endOnSignals()
	}
	return s
}

// runText runs a whole program: -c or a script file.
func (s *shell) runText(r io.Reader, name string) int {
	file, err := syntax.NewParser().Parse(r, name)
	if err != nil {
		s.c.die(2, "%s", err)
	}
	prepare(file)
	return s.status(s.r.Run(context.Background(), file))
}

func (s *shell) source(path string) {
	if file, err := os.Open(path); err == nil {
		defer file.Close()
		if prog, err := syntax.NewParser().Parse(file, path); err != nil {
			s.c.warn(err)
		} else {
			for _, stmt := range prog.Stmts {
				s.status(s.r.Run(context.Background(), stmt))
			}
		}
	}
}

// runLines reads standard input and runs each command when it is complete, so
// that a command may read what follows it.
func (s *shell) runLines() int {
	in := s.newInput()
	status, exited := 0, false
	run := func(stmt *syntax.Stmt) (done bool) {
		prepare(stmt)
		ctx, cancel := context.WithCancel(context.Background()) // background jobs outlive the line: no defer cancel()
		s.mu.Lock()
		s.cancel, s.waiting = cancel, false
		s.mu.Unlock()
		err := s.r.Run(ctx, stmt)
		exited = s.r.Exited() && ctx.Err() == nil
		s.mu.Lock()
		s.cancel = nil
		s.mu.Unlock()
		if ctx.Err() != nil {
			status = 128 + int(syscall.SIGINT)
			s.r.Run(context.Background(), failWith(status))
			return true
		}
		status = s.status(err)
		return exited
	}
	if name, err := syntax.NewParser().Parse(strings.NewReader("_0="+s.c.name), ""); err == nil {
		run(name.Stmts[0])
	}
	for !in.eof {
		parser := syntax.NewParser()
		in.more = parser.Incomplete
		for stmts, err := range parser.InteractiveSeq(in) {
			if err != nil {
				if !errors.Is(err, errInterrupt) {
					s.c.warn(err)
					status = 2
				}
				if !s.interactive {
					return max(status, 1)
				}
				break
			}
			if parser.Incomplete() {
				continue
			}
			for _, stmt := range stmts {
				if run(stmt) {
					break // interrupted: what else stands on the line goes too
				}
			}
			if exited {
				return status
			}
		}
	}
	s.r.Run(context.Background(), &syntax.File{}) // an end of input is an exit: the EXIT trap is due
	if s.interactive {
		fmt.Fprintln(os.Stderr)
	}
	return status
}

func (s *shell) status(err error) int {
	if exit := interp.ExitStatus(0); errors.As(err, &exit) {
		return int(exit)
	}
	if err != nil {
		s.c.warn(err)
		return 1
	}
	return 0
}
