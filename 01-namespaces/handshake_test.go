package namespaces

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// inPath is the environment of most programs here.
var inPath = []string{"PATH=" + defaultPath}

// patience is the tests' deadline; once a Start has hung, the next will too.
var patience = check.Deadline

// start calls Start and, if it hangs, reads off the open pipes why.
func start(t *testing.T, spec *Spec, stdio Stdio) (*Process, error) {
	t.Helper()
	type result struct {
		p   *Process
		err error
	}
	done := make(chan result, 1)
	_, known := pipesOf("self")
	go func() {
		p, err := Start(spec, stdio)
		done <- result{p, err}
	}()
	select {
	case r := <-done:
		return r.p, r.err
	case <-time.After(patience):
		patience = time.Second
		check.True(t, startOf(spec), false, fmt.Sprintf("nothing for %v", check.Deadline),
			"to return once the program runs or has failed", whyStuck(known)...)
		panic("unreachable")
	}
}

func startOf(spec *Spec) string {
	did := fmt.Sprintf("Start(%.40q)", strings.Join(spec.Args, " "))
	if spec.Dir != "" {
		did += " in " + spec.Dir
	}
	return did
}

// whyStuck looks at the pipes of this process, save those of the test, and of its
// youngest child.
func whyStuck(known map[string]bool) []check.Cause {
	reads, writes := pipesOf("self")
	both := false
	for inode := range reads {
		both = both || writes[inode] && !known[inode]
	}
	child := youngestChild()
	exe, _ := os.Readlink("/proc/" + child + "/exe")
	mine, _ := os.Readlink("/proc/self/exe")
	asked, held := pipesOf(child)
	unended := false
	for inode := range asked {
		unended = unended || writes[inode] && !known[inode]
	}
	shared := false
	for inode := range reads {
		shared = shared || held[inode]
	}
	return []check.Cause{
		check.Often(child == "", "the spec is written to the pipe before there is a child to read it: a pipe holds 64 KiB"),
		check.Often(unended, "the parent never ends the spec's pipe, and the child reads until it ends"),
		check.Often(both, "the parent keeps its own copy of the error pipe's writing end, so no end of file comes"),
		check.Often(shared && exe != mine, "the error pipe is not close-on-exec, so it ends when the program does"),
		check.Often(shared && exe == mine, "the program is run as a child of init, which execve would have become"),
	}
}

// pipesOf returns the inodes of the pipes that a process reads and writes,
// besides its stdio.
func pipesOf(pid string) (reads, writes map[string]bool) {
	reads, writes = map[string]bool{}, map[string]bool{}
	fds, _ := os.ReadDir("/proc/" + pid + "/fd")
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/" + pid + "/fd/" + fd.Name())
		info, _ := os.ReadFile("/proc/" + pid + "/fdinfo/" + fd.Name())
		if !strings.HasPrefix(to, "pipe:") || len(fd.Name()) == 1 && fd.Name() < "3" {
			continue
		}
		_, flags, _ := strings.Cut(string(info), "flags:\t")
		flags, _, _ = strings.Cut(flags, "\n")
		if strings.HasSuffix(flags, "1") { // O_WRONLY, in octal
			writes[to] = true
		} else {
			reads[to] = true
		}
	}
	return reads, writes
}

func youngestChild() string {
	var youngest int
	procs, _ := os.ReadDir("/proc")
	for _, p := range procs {
		var pid, parent int
		stat, _ := os.ReadFile("/proc/" + p.Name() + "/stat")
		if _, rest, ok := strings.Cut(string(stat), ") "); ok {
			fmt.Sscanf(p.Name(), "%d", &pid)
			fmt.Sscanf(rest[1:], "%d", &parent)
		}
		if parent == os.Getpid() && pid > youngest {
			youngest = pid
		}
	}
	if youngest == 0 {
		return ""
	}
	return fmt.Sprint(youngest)
}

const notWaited = "Start returns without waiting for the error pipe to end"

// output starts the spec's program and returns what it and the init wrote, and
// its exit status.
func output(t *testing.T, spec *Spec) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	check.NoError(t, "make a pipe", err)
	defer r.Close()
	p, err := start(t, spec, Stdio{Out: w, Err: w})
	w.Close()
	check.NoError(t, startOf(spec), err)
	out, err := check.Within(t, "read the output of "+spec.Args[0], "the program to end",
		func() ([]byte, error) { return io.ReadAll(r) })
	check.NoError(t, "read the output", err)
	status, err := p.Wait()
	check.NoError(t, "wait for "+spec.Args[0], err)
	return string(out), status
}

func TestStart_SpecArrives(t *testing.T) {
	exercise.Need(t, "1.2", "1.1")
	sandbox.Need(t)
	out, status := output(t, &Spec{Args: []string{"sh", "-c", `echo "$A $1"; pwd; exit 7`, "sh", "hi"}, Env: append(inPath, "A=a"), Dir: "/usr"})
	check.Equal(t, "what the program printed: its env, argument and folder", "a hi\n/usr\n", out,
		check.Often(strings.Contains(out, "the parent is gone"), notWaited),
		check.Often(strings.HasPrefix(out, "-c: "), "execve is given the arguments without the program's name, which is the first of them"))
	check.Equal(t, "its exit status", 7, status)
	out, status = output(t, &Spec{Args: []string{"sh", "-c", "exec env"}, Env: append(inPath, "A=a")})
	check.True(t, "its environment", !strings.Contains(out, "GOGC"), fmt.Sprintf("%q", out), "that of the spec, nothing else",
		check.Often(true, "the program is executed with the environment of init"))
	check.Equal(t, "its exit status", 0, status)
}

func TestStart_LongSpec(t *testing.T) {
	exercise.Need(t, "1.2", "1.1")
	sandbox.Need(t)
	env := append(inPath, "LONG="+strings.Repeat("x", 100_000))
	out, _ := output(t, &Spec{Args: []string{"sh", "-c", "echo ${#LONG}"}, Env: env})
	check.Equal(t, "the length of a variable of 100,000 bytes", "100000\n", out)
}

func TestStart_ErrorComesBack(t *testing.T) {
	exercise.Need(t, "1.2", "1.1")
	sandbox.Need(t)
	for _, bad := range []struct {
		spec Spec
		is   error
		has  string
	}{
		{Spec{Args: []string{"no-such-program"}, Env: inPath}, fs.ErrNotExist, "no-such-program"},
		{Spec{Args: []string{"/etc/passwd"}, Env: inPath}, fs.ErrPermission, "/etc/passwd"},
		{Spec{Args: []string{"true"}, Env: inPath, Dir: "/no/such/folder"}, fs.ErrNotExist, "/no/such/folder"},
		{Spec{Args: []string{"true"}, Env: inPath, Hostname: strings.Repeat("x", 100), Namespaces: []Namespace{{Type: UTS}}}, unix.EINVAL, "sethostname"},
	} {
		p, err := start(t, &bad.spec, Stdio{})
		ended := false
		if err == nil {
			// A process loses its exe before its descriptors.
			_, gone := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.Pid))
			ended = errors.Is(gone, fs.ErrNotExist)
			p.Kill()
			p.Wait()
		}
		check.ErrorIs(t, startOf(&bad.spec), err, bad.is,
			check.Often(ended, "Init returns its error, and nobody writes it to the error pipe"),
			check.Often(err == nil, notWaited))
		check.ErrorHas(t, startOf(&bad.spec), err, []string{bad.has})
	}
	bad := &Spec{Args: []string{"no-such-program"}}
	_, err := start(t, bad, Stdio{})
	e := new(StartError)
	check.True(t, startOf(bad), errors.As(err, &e) && e.Program, check.Error(err), "a StartError with Program set, as lookup returns it")
	_, err = start(t, &Spec{}, Stdio{})
	check.ErrorHas(t, "Start of a spec without args", err, []string{"args"})
}

func TestStart_BecomesTheProgram(t *testing.T) {
	exercise.Need(t, "1.2", "1.1")
	sandbox.Need(t)
	out, _ := output(t, &Spec{Args: []string{"sh", "-c", "echo $$"}, Env: inPath, Namespaces: []Namespace{{Type: PID}}})
	check.Equal(t, "the PID of a program in a PID namespace of its own", "1\n", out,
		check.Often(regexp.MustCompile(`^\d+\n$`).MatchString(out), "the program is run as a child of init, which execve would have become"))
	out, _ = output(t, &Spec{Args: []string{"sh", "-c", "for i in 3 4 5; do [ -e /proc/self/fd/$i ] && echo $i; done; true"}, Env: inPath})
	check.Equal(t, "the descriptors of the program besides its stdio", "", out,
		check.Often(strings.Contains(out, "4"), "the error pipe is not close-on-exec, so it ends when the program does"),
		check.Often(strings.Contains(out, "3"), "the spec's pipe is left open and becomes the program's"))
}

func TestStart_ReturnsWhenItRuns(t *testing.T) {
	exercise.Need(t, "1.2", "1.1")
	sandbox.Need(t)
	before := openFiles(t)
	r, w, err := os.Pipe()
	check.NoError(t, "make a pipe", err)
	p, err := start(t, &Spec{Args: []string{"cat"}, Env: inPath}, Stdio{In: r})
	r.Close()
	check.NoError(t, "Start(cat)", err)
	check.NoError(t, "signal it", p.Signal(syscall.SIGTERM))
	status, err := p.Wait()
	check.NoError(t, "wait for it", err)
	check.Equal(t, "the status of a cat that SIGTERM ended", 128+15, status)
	w.Close()

	_, err = start(t, &Spec{Args: []string{"no-such-program"}}, Stdio{})
	check.True(t, "Start(no-such-program)", err != nil, "no error", "an error")
	check.Equal(t, "the descriptors that are left open in the caller", before, openFiles(t),
		check.Often(true, "the pipes are not closed on every way out of Start"))
	var who unix.Siginfo
	err = unix.Waitid(unix.P_ALL, 0, &who, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	check.True(t, "a child that failed", err == unix.ECHILD, "is a zombie, or runs", "has been waited for",
		check.Often(true, "the child that failed is never waited for"))
}

func openFiles(t *testing.T) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	check.NoError(t, "list /proc/self/fd", err)
	var open []string
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.HasPrefix(to, "pipe:") {
			open = append(open, fd.Name())
		}
	}
	return open
}
