package cgroups

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/cgroups/v3/cgroup2"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

// helpers are what the test binary does when it is executed as "test:NAME ARG".
// Each first waits until its standard input ends or gives a line, so that it can
// be moved into a group before it does anything.
var helpers = map[string]func(arg string) error{
	// where says in which group it is.
	"where": func(string) error {
		b, err := os.ReadFile("/proc/self/cgroup")
		fmt.Printf("%s", b)
		return err
	},
	// eat touches ARG MiB.
	"eat": func(arg string) error {
		n, err := strconv.Atoi(arg)
		b := make([]byte, n<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		runtime.KeepAlive(b)
		return err
	},
	// burn uses ARG of CPU time.
	"burn": func(arg string) error {
		d, err := time.ParseDuration(arg)
		for used := time.Duration(0); used < d; {
			var ru unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
				return err
			}
			used = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
		}
		return err
	},
	// bomb forks ARG processes that stand still, or until it is refused, says how
	// many there are, and stands still too.
	"bomb": func(arg string) error {
		limit, _ := strconv.Atoi(arg)
		for n := 0; ; n++ {
			if n == limit {
				fmt.Println(n, "never refused")
				return stand("")
			}
			if err := fork(func() { unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0) }); err != 0 {
				fmt.Println(n, unix.ErrnoName(err))
				return stand("")
			}
		}
	},
	// spin forks ARG processes that never leave the first processor, and waits. They
	// are nice, or this one would hardly get to say so.
	"spin": func(arg string) error {
		n, _ := strconv.Atoi(arg)
		runtime.LockOSThread()
		var all, first unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			return err
		}
		for cpu := range len(all) * 64 {
			if all.IsSet(cpu) {
				first.Set(cpu)
				break
			}
		}
		if err := unix.SchedSetaffinity(0, &first); err != nil {
			return err
		}
		for range n {
			nice := 0
			if err := fork(func() {
				if nice == 0 {
					nice = 19
					unix.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(nice))
				}
			}); err != 0 {
				return err
			}
		}
		fmt.Println("spinning")
		return stand("")
	},
	// hop is never the same process for long: each forks the next and ends.
	"hop": func(string) error {
		fmt.Println("hopping")
		for {
			if pid, _, err := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); err != 0 || pid != 0 {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
	},
	"stand": stand,
	// thaw waits for the first process in the frozen group ARG, says which program
	// it is executing or that it is the test itself, and thaws.
	"thaw": func(dir string) error {
		defer os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("0"), 0)
		for end := time.Now().Add(check.Deadline - time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			pids := strings.Fields(string(b))
			if err != nil || len(pids) == 0 {
				continue
			}
			if slices.Contains(pids, strconv.Itoa(os.Getppid())) {
				fmt.Println("the test itself")
				return nil
			}
			exe, err := os.Readlink("/proc/" + pids[0] + "/exe")
			fmt.Println(exe)
			return err
		}
		fmt.Println("nothing")
		return nil
	},
}

// stand waits for ever, in the kernel: Go would end a process whose goroutines all wait.
func stand(string) error {
	for {
		unix.Ppoll(nil, nil, nil)
	}
}

// fork runs a function that only makes raw system calls, again and again, in a
// child: one task, with none of Go's threads.
func fork(f func()) unix.Errno {
	pid, _, err := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if err != 0 || pid != 0 {
		return err
	}
	for {
		f()
	}
}

// helper ends the process if it is a helper.
func helper() {
	name, ok := strings.CutPrefix(os.Args[0], "test:")
	if !ok {
		return
	}
	os.Stdin.Read(make([]byte, 1))
	if err := helpers[name](os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// ownGroup makes a group for the test, with these controllers, and removes it
// with all that is in it.
func ownGroup(t testing.TB, controllers ...string) *Group {
	t.Helper()
	features := []sandbox.Feature{sandbox.OwnGroup}
	for _, c := range controllers {
		features = append(features, sandbox.Controller(c))
	}
	sandbox.Need(t, features...)
	top, err := sandbox.Group()
	check.NoError(t, "the tests' own group", err)
	for _, c := range controllers {
		check.NoError(t, "enable "+c+" below "+top, os.WriteFile(top+"/cgroup.subtree_control", []byte("+"+c), 0))
	}
	dir := filepath.Join(top, strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	check.NoError(t, "make a group", os.Mkdir(dir, 0o755))
	t.Cleanup(func() {
		if err := hostgroup.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	g, err := Open(dir)
	check.NoError(t, "open the group", err)
	return g
}

func mkdir(t testing.TB, g *Group, name string) *Group {
	t.Helper()
	dir := filepath.Join(g.Dir(), name)
	check.NoError(t, "make a group", os.Mkdir(dir, 0o755))
	return &Group{dir}
}

// A process is a helper that runs, or waits for its gate.
type process struct {
	*exec.Cmd
	gate io.WriteCloser
	out  *bufio.Reader
	t    testing.TB
}

// spawn starts a helper, moves it into g (nil: nowhere) and lets it go.
func spawn(t testing.TB, g *Group, name, arg string) *process {
	t.Helper()
	p := command(t, name, arg)
	check.NoError(t, "start "+name, p.Start())
	p.endWith(t)
	if g != nil {
		check.NoError(t, "move "+name, hostgroup.Move(g.Dir(), p.Process.Pid))
	}
	p.gate.Close()
	return p
}

// command is a helper that is not started yet.
func command(t testing.TB, name, arg string) *process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", arg)
	cmd.Args = []string{"test:" + name, arg}
	cmd.Stderr = os.Stderr
	gate, err := cmd.StdinPipe()
	check.NoError(t, "make a pipe", err)
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	return &process{Cmd: cmd, gate: gate, out: bufio.NewReader(out), t: t}
}

// endWith ends the process when the test does.
func (p *process) endWith(t testing.TB) {
	t.Cleanup(func() {
		p.gate.Close()
		p.Process.Kill()
		p.Cmd.Wait()
	})
}

// line returns what the helper says next.
func (p *process) line() string {
	p.t.Helper()
	s, _ := check.Within(p.t, "read what "+p.Args[0]+" says", "a line", func() (string, error) { return p.out.ReadString('\n') })
	return strings.TrimSpace(s)
}

// wait returns how the helper ended.
func (p *process) wait() syscall.WaitStatus {
	p.t.Helper()
	status, err := check.Within(p.t, "wait for "+p.Args[0], "its end", func() (syscall.WaitStatus, error) {
		var ws syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(p.Process.Pid, &ws, 0, nil); err != syscall.EINTR {
				return ws, err
			}
		}
	})
	check.NoError(p.t, "wait for "+p.Args[0], err)
	return status
}

func (p *process) alive() bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	return err == nil && !strings.Contains(string(b), ") Z ") && !strings.Contains(string(b), ") X ")
}

// reader opens a group with containerd's library, which shares no code with ours.
func reader(t testing.TB, g *Group) *cgroup2.Manager {
	t.Helper()
	m, err := cgroup2.Load("/"+filepath.Base(g.Dir()), cgroup2.WithMountpoint(filepath.Dir(g.Dir())))
	check.NoError(t, "read the group with containerd/cgroups", err)
	return m
}

func files(values []Value) map[string]string {
	m := map[string]string{}
	for _, v := range values {
		m[v.File] = v.Text
	}
	return m
}

// read is what a file of the group says, without the reader's own code.
func read(t testing.TB, g *Group, file string) string {
	t.Helper()
	text, err := g.Read(file)
	check.NoError(t, "read "+file, err)
	return text
}

func write(t testing.TB, g *Group, file, text string) {
	t.Helper()
	check.NoError(t, "write "+file, g.Write(file, text))
}
