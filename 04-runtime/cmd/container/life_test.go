package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

// From create to delete, and what is refused in between (runtime-spec, runtime.md).
func TestContainer_Life(t *testing.T) {
	n := newNode(t)
	pidFile, out := filepath.Join(t.TempDir(), "pid"), filepath.Join(t.TempDir(), "out")
	bundle := n.bundle("echo began > /mnt/out; exec sleep 1000", func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example": "kept"}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: filepath.Dir(out), Options: []string{"bind"}})
	})
	n.fails([]string{"does not exist"}, "state", "one")
	n.fails([]string{"does not exist"}, "start", "one")
	n.ok("create", "--bundle", bundle, "--pid-file", pidFile, "one")
	n.fails([]string{"one", "exists"}, "create", "--bundle", bundle, "one")

	var s specs.State
	check.NoError(t, "read its state", json.Unmarshal([]byte(n.ok("state", "one")), &s))
	text, _ := os.ReadFile(pidFile)
	want := specs.State{Version: specs.Version, ID: "one", Status: specs.StateCreated, Pid: s.Pid, Bundle: bundle, Annotations: map[string]string{"org.example": "kept"}}
	check.Equal(t, "its state", want, s)
	check.Equal(t, "the PID file", strconv.Itoa(s.Pid), string(text))
	_, err := os.Stat(out)
	check.True(t, "the program of a created container", os.IsNotExist(err), "it has begun", "not begun")
	n.fails([]string{"created", "kill it first"}, "delete", "one")
	check.Equal(t, "exec in a created container", "hi\n", n.ok("exec", "one", "echo", "hi"))

	n.ok("start", "one")
	check.Equal(t, "its status", "running", n.status("one"))
	check.Eventually(t, "the program of a started container", "its file", func() bool { _, err := os.Stat(out); return err == nil })
	n.fails([]string{"running"}, "start", "one")
	n.fails([]string{"running"}, "delete", "one")
	check.True(t, "container list", strings.Contains(n.ok("list"), "one"), n.ok("list"), "one")
	check.Equal(t, "container list -q", "one\n", n.ok("list", "-q"))

	n.ok("kill", "one", "KILL")
	n.ends("one")
	check.NoError(t, "read its state", json.Unmarshal([]byte(n.ok("state", "one")), &s))
	n.fails([]string{"container not running"}, "kill", "one") // containerd's shim looks for these words
	n.fails([]string{"stopped"}, "start", "one")
	n.fails([]string{"not running"}, "exec", "one", "true")
	n.ok("delete", "one")
	n.fails([]string{"does not exist"}, "delete", "one")
	n.ok("delete", "--force", "one")
	check.Equal(t, "container list -q", "", n.ok("list", "-q"))
}

// run is create, start, wait and delete, and gives the program's status.
func TestContainer_Run(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		script, want string
	}{
		{"echo out; exit 7", "out\n7"},
		{"kill -KILL $$; echo alive", "alive\n0"}, // PID 1
		{"(exit 3); echo $?; hostname; echo $HOME; pwd", "3\ncoracle\n/root\n/\n0"},
	} {
		out, errs, status := n.calls("run", "--bundle", n.bundle(c.script, nil), "one")
		check.Equal(t, "container run: "+c.script, c.want, fmt.Sprint(out+errs, status))
		check.Equal(t, "what is left", "", n.ok("list", "-q"))
	}
	n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000", nil), "two")
	check.Equal(t, "the status of run --detach", "running", n.status("two"))
	n.ok("delete", "--force", "two")
	n.calls("run", "--keep", "--bundle", n.bundle("exit 5", nil), "three")
	check.Equal(t, "the status after run --keep", "stopped", n.status("three"))
}

// What cannot be started fails create, and leaves nothing.
func TestContainer_Refused(t *testing.T) {
	n := newNode(t)
	before := n.leavings()
	args := func(a ...string) func(*specs.Spec) { return func(s *specs.Spec) { s.Process.Args = a } }
	for _, c := range []struct {
		change func(*specs.Spec)
		words  []string
	}{
		{args("no-such"), []string{`exec: "no-such"`, "executable file not found in $PATH"}},
		{args("/no/such"), []string{"/no/such", "no such file"}},
		{args("/etc/passwd"), []string{"/etc/passwd", "permission denied"}},
		{args("/etc"), []string{"/etc", "is a directory"}},
		{args(), []string{"process.args", "empty"}},
		{func(s *specs.Spec) { s.Process.Cwd = "tmp" }, []string{"process.cwd", "absolute"}},
		{func(s *specs.Spec) { s.Process.Cwd = "/proc/self/fd/3" }, []string{"chdir"}},
		{func(s *specs.Spec) { s.Version = "2.0.0" }, []string{"ociVersion"}},
		{func(s *specs.Spec) { s.Root.Path = "/no/root" }, []string{"root.path", "/no/root"}},
		{func(s *specs.Spec) { s.Process.Terminal = true }, []string{"process.terminal", "--console-socket"}},
		{func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "pid"})
		}, []string{"pid", "twice"}},
		{func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "odd"})
		}, []string{"odd"}},
		{func(s *specs.Spec) { s.Linux.Namespaces = nil; s.Hostname = "" }, []string{"mount namespace"}},
		{func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/proc/self/ns/net" }, []string{"pid", "net"}},
		{func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: "/no/source", Options: []string{"bind"}})
		}, []string{"/no/source"}},
		{func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "relative"}}} }, []string{"createRuntime", "relative"}},
		{func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/no/hook"}}} }, []string{"createRuntime", "/no/hook"}},
		{func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/no/hook"}}} }, []string{"createContainer", "/no/hook"}},
	} {
		n.fails(c.words, "create", "--bundle", n.bundle("true", c.change), "one")
		check.Equal(t, fmt.Sprintf("what create leaves that says %q", c.words), before, n.leavings())
	}
	n.fails([]string{"config.json", "bundle"}, "create", "--bundle", t.TempDir(), "one")
	n.fails([]string{"--systemd-cgroup", "native.cgroupdriver=cgroupfs"}, "--systemd-cgroup", "create", "one")
	n.fails([]string{"invalid container ID"}, "create", "../one")
	n.fails([]string{"no command"}, "no-such")
	n.fails([]string{"create ID"}, "create")
}

// leavings lists what a container could leave: folders, groups, processes, mounts.
func (n *node) leavings() string {
	n.t.Helper()
	var all []string
	entries, _ := os.ReadDir(n.root)
	for _, e := range entries {
		all = append(all, "folder "+e.Name())
	}
	hierarchies, err := hostgroup.Hierarchies()
	check.NoError(n.t, "find the groups", err)
	for _, h := range hierarchies {
		filepath.WalkDir(h.Mount, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, "group "+p)
			}
			return nil
		})
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	return fmt.Sprint(strings.Join(all, "\n"), "\nprocesses ", len(processes), "\nmounts ", strings.Count(string(mounts), "\n"))
}

// Killed whenever it may be, create leaves what delete --force takes away.
func TestContainer_CreateKilled(t *testing.T) {
	n := newNode(t)
	bundle := n.bundle("sleep 1000", nil)
	before := n.leavings()
	for i := range 20 {
		cmd := n.command("create", "--bundle", bundle, "one")
		check.NoError(t, "start create", cmd.Start())
		for range i * 120 { // the more has been looked at, the later
			os.ReadFile("/proc/self/stat")
		}
		cmd.Process.Kill()
		cmd.Wait()
		n.ok("delete", "--force", "one")
		check.Eventually(t, fmt.Sprintf("kill -9 create, time %d, and delete --force", i), "nothing to be left of it", func() bool {
			return n.leavings() == before
		}, check.Often(true, "what is there:\n"+n.leavings()))
	}
}

// Foreground run forwards signals; kill by number and by name.
func TestContainer_Signals(t *testing.T) {
	n := newNode(t, sandbox.GainsPrivileges)
	cmd := n.command("run", "--bundle", n.bundle("exec sleep 1000", nil), "one")
	check.NoError(t, "start run", cmd.Start())
	check.Eventually(t, "container run", "it to run", func() bool {
		out, _, _ := n.calls("state", "one")
		return strings.Contains(out, `"running"`)
	})
	// sleep takes over some time after start: until then its PID 1 ignores the signal.
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	check.Eventually(t, "SIGTERM to container run", "its end", func() bool {
		cmd.Process.Signal(unix.SIGTERM)
		return len(ended) > 0
	})
	// 2 is Go's own way to end by a signal that does nothing to a PID 1.
	status := cmd.ProcessState.ExitCode()
	check.True(t, "its status", status == 128+int(unix.SIGTERM) || status == 2, fmt.Sprint(status), "143")
	for _, sig := range []string{"9", "KILL", "SIGKILL", "kill"} {
		n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000", nil), "two")
		n.ok("kill", "two", sig)
		n.ends("two")
		n.ok("delete", "two")
	}
	n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000", nil), "two")
	n.fails([]string{"no signal", "NONE"}, "kill", "two", "NONE")
	n.ok("kill", "two", "0")
}
