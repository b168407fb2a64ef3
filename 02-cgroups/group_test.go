package cgroups

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/cgroups/v3/cgroup2"

	"coracle/internal/check"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

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
