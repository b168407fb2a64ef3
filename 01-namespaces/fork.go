package namespaces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Step is one thing that a raw child does before it executes a program.
type Step struct {
	Do   Op
	Type Type     // for SetNS: the kind of namespace
	File *os.File // for SetNS: the namespace

	flags uintptr // for unshare
}

// An Op is what a Step does.
type Op int

const (
	SetNS      Op = iota + 1 // setns(2) on File
	Fork                     // go on in a child, which is born in the PID namespace that was entered
	BecomeRoot               // no supplementary groups, group id 0, user id 0
	unshare                  // new namespaces
)

// String words a step as an error names it.
func (s Step) String() string {
	switch s.Do {
	case SetNS:
		return fmt.Sprintf("join the %s namespace %s", s.Type, s.File.Name())
	case Fork:
		return "fork"
	case BecomeRoot:
		return "become root of the user namespace"
	case unshare:
		return "make namespaces"
	}
	return fmt.Sprintf("step %d", s.Do)
}

// Unshare is the step that makes new namespaces: flags of clone(2). A new PID
// namespace takes a Fork after it.
func Unshare(flags uintptr) Step { return Step{Do: unshare, flags: flags} }

var nsFlags = [...]struct {
	t    Type
	flag uintptr
}{
	{Cgroup, unix.CLONE_NEWCGROUP}, {IPC, unix.CLONE_NEWIPC}, {Mnt, unix.CLONE_NEWNS}, {Net, unix.CLONE_NEWNET},
	{PID, unix.CLONE_NEWPID}, {Time, unix.CLONE_NEWTIME}, {UserNS, unix.CLONE_NEWUSER}, {UTS, unix.CLONE_NEWUTS},
}

// nsType returns the kind of an open namespace; a file that is none is an error.
func nsType(f *os.File) (Type, error) {
	flag, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil {
		return "", fmt.Errorf("%s is no namespace: %w", f.Name(), err)
	}
	for _, n := range nsFlags {
		if n.flag == uintptr(flag) {
			return n.t, nil
		}
	}
	return "", fmt.Errorf("%s: an unknown kind of namespace: %#x", f.Name(), flag)
}

// A program is what a raw child becomes.
type program struct {
	exe   *os.File // found by descriptor: its path may mean nothing in another mount namespace
	argv  []string
	env   []string
	files []*os.File // its descriptors from 0 on; a nil one is /dev/null
}

// takeSteps starts a raw child that takes the steps and then executes the program.
// The process that it returns is the one that became the program, and a child of
// the caller even after a Fork; if a step fails nothing is left running, and the
// error names it.
//
// The program gets SIGKILL when the thread that called takeSteps ends: a caller
// that locks its thread and returns ends it too early.
func takeSteps(steps []Step, prog program) (*os.Process, error) {
	pid, err := launch(steps, prog, false)
	if err != nil {
		return nil, err
	}
	return os.FindProcess(pid)
}

// Launch is takeSteps for a program that outlives the caller, and its PID. exe is
// executed by descriptor: its path may mean nothing in another mount namespace.
func Launch(steps []Step, exe *os.File, argv, env []string, files []*os.File) (pid int, err error) {
	return launch(steps, program{exe, argv, env, files}, true)
}

func launch(steps []Step, prog program, stays bool) (int, error) {
	raw, err := prepare(steps, prog)
	if err != nil {
		return 0, err
	}
	raw.dies = !stays
	r, w, err := os.Pipe()
	if err != nil {
		raw.close()
		return 0, err
	}
	defer r.Close()
	raw.report = raw.dup(w)
	pid, errno := fork(raw)
	runtime.KeepAlive(steps)
	w.Close()
	raw.close()
	if errno != 0 {
		return 0, fmt.Errorf("fork: %w", errno)
	}
	// What is said is at most the PID of the child's child and then what failed, or the
	// other way round if that one is faster. The pipe ends when the program is executed,
	// or with the last of them.
	said, err := io.ReadAll(r)
	for ; len(said) >= reportSize; said = said[reportSize:] {
		what, value := binary.NativeEndian.Uint64(said), binary.NativeEndian.Uint64(said[8:])
		switch {
		case what == reportFork:
			reap(pid)
			pid = int(value)
		case int(what) < len(steps):
			err = fmt.Errorf("%s: %w", steps[what], syscall.Errno(value))
		default:
			err = fmt.Errorf("execute %s: %w", prog.exe.Name(), syscall.Errno(value))
		}
	}
	if err != nil {
		reap(pid)
		return 0, err
	}
	return pid, nil
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// prepare makes everything that the child will need: it cannot allocate.
func prepare(steps []Step, prog program) (raw *rawPlan, err error) {
	raw = &rawPlan{above: max(maxFiles, len(prog.files))}
	defer func() {
		if err != nil {
			raw.close()
		}
	}()
	if i := slices.IndexFunc(steps, func(s Step) bool { return s.Do == Fork }); i >= 0 {
		if slices.ContainsFunc(steps[i+1:], func(s Step) bool { return s.Do == Fork }) {
			return raw, errors.New("two forks in the steps: one is enough to be born in a PID namespace")
		}
	}
	for _, s := range steps {
		step := rawStep{do: s.Do, flags: s.flags}
		if s.Do == SetNS {
			for _, n := range nsFlags {
				if n.t == s.Type {
					step.flags = n.flag
				}
			}
			if s.File == nil || step.flags == 0 {
				return raw, fmt.Errorf("a step to join %q without an open namespace of that type", s.Type)
			}
			step.fd = raw.dup(s.File)
		}
		raw.steps = append(raw.steps, step)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return raw, err
	}
	defer null.Close()
	for _, f := range prog.files {
		if f == nil {
			f = null
		}
		raw.files = append(raw.files, raw.dup(f))
	}
	raw.exe = raw.dup(prog.exe)
	if raw.argv, err = syscall.SlicePtrFromStrings(prog.argv); err != nil {
		return raw, err
	}
	if raw.env, err = syscall.SlicePtrFromStrings(prog.env); err != nil {
		return raw, err
	}
	return raw, raw.err
}

// dup duplicates a file to a descriptor that none of the program's own takes.
func (p *rawPlan) dup(f *os.File) uintptr {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, p.above)
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("duplicate %s: %w", f.Name(), err))
		return 0
	}
	p.open = append(p.open, fd)
	return uintptr(fd)
}

func (p *rawPlan) close() {
	for _, fd := range p.open {
		unix.Close(fd)
	}
}
