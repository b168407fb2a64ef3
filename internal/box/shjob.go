package box

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// The interpreter runs `X &` as a goroutine and names it g1, g2, … in $!. To
// know which processes are whose, prepare turns it into
//
//	{ _job=${!-}; { _bg=x$_job; X; } & }
//
// so that whatever runs inside sees in _bg the job before its own.

// job is a background command; it may have several processes, or none yet.
type job struct {
	pids   []int
	killed syscall.Signal // ends it at its next command, for no signal reaches a goroutine
}

// mark starts the names of commands that the shell handles itself.
const mark = "\x01"

// prepare rewrites a parsed program: jobs as above, $0 where the interpreter
// has no file name for it, and `exec` where it may replace the whole process,
// that is, outside subshells, which are goroutines here.
func prepare(root syntax.Node) {
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst, *syntax.FuncDecl, *syntax.CoprocClause:
			return false
		case *syntax.BinaryCmd:
			if n.Op == syntax.AndStmt || n.Op == syntax.OrStmt {
				return true
			}
			// A pipeline's last command runs in the shell itself; its exec must not end that.
			if last, ok := n.Y.Cmd.(*syntax.CallExpr); ok && len(last.Args) > 1 && last.Args[0].Lit() == "exec" {
				last.Args = last.Args[1:]
			}
			return false
		case *syntax.Stmt:
			return !n.Background
		case *syntax.CallExpr:
			if len(n.Args) > 1 && n.Args[0].Lit() == "exec" {
				n.Args[0].Parts = []syntax.WordPart{&syntax.Lit{Value: mark + "exec"}}
			}
		}
		return true
	})
	var jobs []*syntax.Stmt
	_, whole := root.(*syntax.File)
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			if n.Background {
				jobs = append(jobs, n)
			}
		case *syntax.ParamExp:
			if n.Param != nil && n.Param.Value == "0" && !whole {
				n.Param.Value = "_0"
			}
		}
		return true
	})
	for _, st := range slices.Backward(jobs) { // inner ones first: the outer copy takes them along
		f, err := syntax.NewParser().Parse(strings.NewReader("{ _job=${!-}; { _bg=x$_job; } & }"), "")
		if err != nil {
			panic(err) // the text is constant
		}
		inner := *st
		inner.Background = false
		body := f.Stmts[0].Cmd.(*syntax.Block).Stmts[1].Cmd.(*syntax.Block)
		body.Stmts = append(body.Stmts, &inner)
		*st = *f.Stmts[0]
	}
}

// jobOf finds the job that a command runs in, nil for the foreground. s.mu is
// held, or the answer used only as yes or no.
func (s *shell) jobOf(hc interp.HandlerContext) *job {
	before, ok := strings.CutPrefix(hc.Env.Get("_bg").String(), "x")
	if !ok {
		return nil
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(before, "g"))
	return s.job(n + 1)
}

func (s *shell) job(n int) *job {
	if s.jobs[n] == nil {
		s.jobs[n] = &job{}
	}
	return s.jobs[n]
}

func (s *shell) jobStarted(j *job, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j == nil {
		return
	}
	if j.killed != 0 {
		syscall.Kill(pid, j.killed)
	}
	if j.pids = append(j.pids, pid); s.interactive && len(j.pids) == 1 {
		fmt.Fprintf(os.Stderr, "[%d]\n", pid)
	}
}

func (s *shell) jobEnded(j *job, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j == nil {
		s.foreground--
		return
	}
	j.pids = slices.DeleteFunc(j.pids, func(p int) bool { return p == pid })
}

// killArgs replaces names such as g1 by the job's processes. A signal that ends
// them also ends the job itself, even one that has not begun its first command;
// left says whether there is anything else to signal.
func (s *shell) killArgs(args []string) (out []string, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, named := syscall.SIGTERM, false
	for i, a := range args {
		if i == 0 && strings.HasPrefix(a, "-") {
			ends = map[string]syscall.Signal{"9": syscall.SIGKILL, "KILL": syscall.SIGKILL, "15": syscall.SIGTERM, "TERM": syscall.SIGTERM,
				"2": syscall.SIGINT, "INT": syscall.SIGINT, "1": syscall.SIGHUP, "HUP": syscall.SIGHUP}[a[1:]]
		}
		n, err := strconv.Atoi(strings.TrimPrefix(a, "g"))
		if err != nil || a[0] != 'g' {
			out = append(out, a)
			continue
		}
		j := s.job(n)
		if named = true; ends != 0 {
			j.killed = ends
		}
		for _, pid := range j.pids {
			out = append(out, strconv.Itoa(pid))
		}
	}
	return out, !named || len(out) > 1 || len(out) == 1 && out[0][0] != '-'
}

// catchSignals keeps an interactive shell alive. The signals are caught, not
// ignored: a child would inherit that over exec (signal(7)).
func (s *shell) catchSignals() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	go func() {
		for sig := range ch {
			s.mu.Lock()
			if sig == syscall.SIGINT && s.foreground == 0 {
				s.interrupt()
				for _, j := range s.jobs {
					for _, pid := range j.pids {
						if s.waiting { // wait cannot be interrupted, only what it waits for
							syscall.Kill(pid, syscall.SIGINT)
						}
					}
				}
			}
			s.mu.Unlock()
		}
	}()
}

// interrupt ends the line that runs, and the terminal's line with its ^C. s.mu
// is held.
func (s *shell) interrupt() {
	if s.cancel != nil {
		fmt.Fprintln(os.Stderr)
		s.cancel()
		s.cancel = nil
	}
}

// signaled ends the line when ^C ended its command, as a person expects of a
// loop, and names any other signal.
func (s *shell) signaled(j *job, ws syscall.WaitStatus) {
	if !s.interactive || j != nil {
		return
	}
	if ws.Signal() == syscall.SIGINT {
		s.mu.Lock()
		s.interrupt()
		s.mu.Unlock()
	} else if ws.Signal() != syscall.SIGPIPE {
		fmt.Fprintln(os.Stderr, ws.Signal())
	}
}
