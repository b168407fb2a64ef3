package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// More than one id is what a single-id sandbox lacks.
var otherIDs = sandbox.Feature{Name: "more than one id", Fix: "./lab doctor", Has: func() error {
	if sandbox.CurrentMode() != sandbox.Root { // the bundle maps one id alone, whatever the sandbox has
		return errors.New("the container has one id")
	}
	return nil
}}

func TestExec_Flags(t *testing.T) {
	n := newNode(t)
	n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000", nil), "one")
	for _, c := range []struct {
		flags, script, want string
	}{
		{"", "echo $$ | grep -v '^1$' >/dev/null && hostname; exit 3", "coracle\n3"},
		{"--env A=b -e C=d", "echo $A$C $PATH", "bd /bin\n0"},
		{"--cwd /tmp", "pwd", "/tmp\n0"},
		{"--cwd /no/such", "pwd", "255"},
		{"--no-new-privs", "grep ^NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n0"},
		{"--cap CAP_CHOWN", "grep ^CapEff /proc/self/status", "CapEff:\t0000000020000421\n0"},
		{"", "grep ^Seccomp: /proc/self/status; for k in mnt pid net ipc uts cgroup user; do [ $(readlink /proc/self/ns/$k) = $(readlink /proc/1/ns/$k) ] || echo other $k; done", "Seccomp:\t0\n0"},
		{"", "diff /proc/self/cgroup /proc/1/cgroup && echo same || cat /proc/self/cgroup /proc/1/cgroup", "same\n0"},
	} {
		if strings.HasPrefix(c.script, "diff") { // the base has none
			c.script = `[ "$(cat /proc/self/cgroup)" = "$(cat /proc/1/cgroup)" ] && echo same`
		}
		out, _, status := n.calls(append(append([]string{"exec"}, strings.Fields(c.flags)...), "one", "sh", "-c", c.script)...)
		check.Equal(t, fmt.Sprintf("exec %s: %s", c.flags, c.script), c.want, fmt.Sprint(out, status))
	}
	_, errs, status := n.calls("exec", "one", "no-such")
	check.True(t, "exec no-such", status == 255 && strings.Contains(errs, "executable file not found in $PATH"), fmt.Sprint(status, errs), "255 and why")

	// As engines do: a file with the process, detached, with a PID file.
	dir := t.TempDir()
	p := specs.Process{Args: []string{"sleep", "1000"}, Cwd: "/", Env: []string{"PATH=/bin"}}
	text, _ := json.Marshal(p)
	check.NoError(t, "write a process", os.WriteFile(dir+"/p", text, 0o644))
	n.ok("exec", "--process", dir+"/p", "--detach", "--pid-file", dir+"/pid", "one")
	pid, err := os.ReadFile(dir + "/pid")
	check.NoError(t, "read its PID", err)
	cmdline, err := os.ReadFile("/proc/" + string(pid) + "/cmdline")
	check.Equal(t, "the command line of the process in the PID file", "sleep\x001000\x00", string(cmdline))
	check.NoError(t, "read it", err)
}

func TestExec_User(t *testing.T) {
	n := newNode(t, otherIDs)
	n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000", nil), "one")
	out, errs, status := n.calls("exec", "--user", "1000:100", "--additional-gids", "5", "one", "sh", "-c", "id -u; id -g; grep ^Groups /proc/self/status; grep ^CapEff /proc/self/status; echo err >/dev/stderr")
	check.Equal(t, "exec --user 1000:100", "1000\n100\nGroups:\t5 \nCapEff:\t0000000000000000\nerr\n0", out+errs+fmt.Sprint(status))
}

// consoleSocket is what an engine listens on for terminals' masters.
func consoleSocket(t *testing.T) (path string, master func() *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check.NoError(t, "listen", err)
	t.Cleanup(func() { l.Close() })
	return path, func() *os.File {
		conn, err := check.Within(t, "listen on the console socket", "a connection", l.AcceptUnix)
		check.NoError(t, "accept", err)
		defer conn.Close()
		f, err := conn.File()
		check.NoError(t, "take its file", err)
		defer f.Close()
		check.NoError(t, "make it blocking", unix.SetNonblock(int(f.Fd()), false))
		m, err := check.Within(t, "read the console socket", "a terminal", func() (*os.File, error) { return namespaces.ReceiveConsole(f) })
		check.NoError(t, "receive the terminal", err)
		return m
	}
}

// A terminal by --console-socket: create and exec.
func TestTerminal_ConsoleSocket(t *testing.T) {
	n := newNode(t)
	script := `test -t 0 && test -t 1 && test -t 2 && echo is $(readlink /proc/self/fd/0); test -c /dev/console && echo console; echo to console > /dev/console; read x; echo got $x; exec sleep 1000`
	bundle := n.bundle(script, func(s *specs.Spec) {
		s.Process.Terminal = true
		s.Process.ConsoleSize = &specs.Box{Height: 11, Width: 77}
	})
	n.fails([]string{"--console-socket"}, "create", "--bundle", bundle, "one")
	path, accept := consoleSocket(t)
	n.ok("create", "--bundle", bundle, "--console-socket", path, "one")
	master := accept()
	defer master.Close()
	conn, err := master.SyscallConn()
	check.NoError(t, "look at the terminal", err)
	conn.Control(func(fd uintptr) {
		size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
		check.True(t, "its size", err == nil && size.Row == 11 && size.Col == 77, fmt.Sprint(size, err), "11×77")
	})
	n.ok("start", "one")
	var said buffer
	go func() {
		b := make([]byte, 4096)
		for {
			k, err := master.Read(b)
			said.Write(b[:k])
			if err != nil {
				return
			}
		}
	}()
	has := func(what string) {
		t.Helper()
		check.Eventually(t, "the container's terminal, which says "+said.String(), what, func() bool { return strings.Contains(said.String(), what) })
	}
	has("is /dev/pts/0")
	has("console")
	has("to console")
	master.WriteString("typed\n")
	has("got typed")

	p := specs.Process{Terminal: true, Args: []string{"sh", "-c", "test -t 0 && readlink /proc/self/fd/0"}, Cwd: "/", Env: []string{"PATH=/bin"}}
	text, _ := json.Marshal(p)
	file := filepath.Join(t.TempDir(), "p")
	check.NoError(t, "write a process", os.WriteFile(file, text, 0o644))
	path, accept = consoleSocket(t)
	n.ok("exec", "--process", file, "--detach", "--console-socket", path, "one")
	second := accept()
	defer second.Close()
	b := make([]byte, 100)
	k, _ := check.Within(t, "read the terminal of exec", "a line", func() (int, error) { return second.Read(b) })
	check.Equal(t, "what a process with a terminal says", "/dev/pts/1\r\n", string(b[:k]))
}

// What is passed on, and that nothing else is.
func TestContainer_Descriptors(t *testing.T) {
	n := newNode(t)
	file := filepath.Join(t.TempDir(), "file")
	check.NoError(t, "write a file", os.WriteFile(file, []byte("passed on\n"), 0o644))
	first, err := os.Open(file)
	check.NoError(t, "open it", err)
	defer first.Close()
	folder, err := os.Open("/")
	check.NoError(t, "open /", err)
	defer folder.Close()
	for preserve, want := range []string{"", "3 " + file + "\n"} {
		bundle := n.bundle("", n.helper("descriptors"))
		cmd := n.command("run", "--preserve-fds", fmt.Sprint(preserve), "--bundle", bundle, "one")
		cmd.ExtraFiles = []*os.File{first, folder}
		out, err := check.Within(t, "container run", "its end", cmd.CombinedOutput)
		check.NoError(t, fmt.Sprint("run --preserve-fds ", preserve, ", which said ", string(out)), err)
		check.Equal(t, fmt.Sprint("what is open with --preserve-fds ", preserve), want, string(out))
	}
}

// A second container in the namespaces of the first, by their paths, and the mount
// namespace that a container joins is left to exec.
func TestContainer_Namespaces(t *testing.T) {
	n := newNode(t)
	n.ok("run", "--detach", "--bundle", n.bundle("sleep 1000", nil), "one")
	var s specs.State
	check.NoError(t, "read its state", json.Unmarshal([]byte(n.ok("state", "one")), &s))
	kinds := map[specs.LinuxNamespaceType]string{"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid", "user": "user", "mount": "mnt", "cgroup": "cgroup"}
	join := map[specs.LinuxNamespaceType]bool{"network": true, "ipc": true, "uts": true, "pid": true, "user": true}
	var want strings.Builder
	bundle := n.bundle(`for k in net ipc uts pid user mnt; do readlink /proc/self/ns/$k; done; hostname; grep -l sleep /proc/[0-9]*/comm | wc -l`, func(spec *specs.Spec) {
		spec.Hostname = ""
		for i, ns := range spec.Linux.Namespaces {
			if join[ns.Type] {
				spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", s.Pid, kinds[ns.Type])
			}
			if ns.Type == "user" { // its ids are there already
				spec.Linux.UIDMappings, spec.Linux.GIDMappings = nil, nil
			}
		}
	})
	for _, k := range []string{"net", "ipc", "uts", "pid", "user"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", s.Pid, k))
		check.NoError(t, "read a namespace", err)
		want.WriteString(link + "\n")
	}
	out, errs, status := n.calls("run", "--bundle", bundle, "two")
	check.True(t, "the namespaces of a container that joins, which said "+errs, status == 0 && strings.HasPrefix(out, want.String()), out, want.String())
	mnt, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", s.Pid))
	check.True(t, "its mount namespace", !strings.Contains(out, mnt), out, "another than "+mnt)
	check.True(t, "its host name and the sleep that it sees", strings.HasSuffix(out, "coracle\n1\n"), out, "coracle, 1")
}

// A user namespace with a range of ids.
func TestContainer_IDs(t *testing.T) {
	n := newNode(t, realRoot)
	bundle := n.bundle("cat /proc/self/uid_map | tr -s ' '; id -u", func(s *specs.Spec) {
		// Root in there can look into no folder of our root's alone.
		root := t.TempDir()
		check.NoError(t, "copy the base root", os.CopyFS(root, os.DirFS(s.Root.Path)))
		for dir := root; dir != os.TempDir(); dir = filepath.Dir(dir) {
			check.NoError(t, "open the way", os.Chmod(dir, 0o755))
		}
		s.Root.Path = root
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}}
		s.Linux.GIDMappings = s.Linux.UIDMappings
	})
	out, errs, _ := n.calls("run", "--bundle", bundle, "one")
	check.True(t, "a container with 1000 ids of its own", strings.HasPrefix(out, " 0 100000 1000\n0\n"), out+errs, "0 100000 1000, and id 0")
}

func TestContainer_NoPivot(t *testing.T) {
	n := newNode(t)
	out, errs, status := n.calls("run", "--no-pivot", "--bundle", n.bundle("ls / | grep -c bin; echo $$", nil), "one")
	check.Equal(t, "run --no-pivot", "2\n1\n0", out+errs+fmt.Sprint(status))
}

// The runtime's own file cannot be written to from inside, not even by a container with
// every right that gets hold of it while it is being executed (CVE-2019-5736): by a mount
// that is read-only, or where our own has been left behind, by a sealed copy.
func TestContainer_OwnFile(t *testing.T) {
	n := newNode(t, realRoot)
	for _, c := range []struct {
		file string
		want error
	}{{runtimeFile(t), unix.EROFS}, {"", unix.EPERM}} {
		n.file = c.file
		all := namespaces.CapabilityNames()
		n.ok("run", "--detach", "--bundle", n.bundle("", func(s *specs.Spec) {
			n.helper("")(s)
			s.Process.Args = []string{"sleep", "1000"}
			s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		}), "one")
		var s specs.State
		check.NoError(t, "read its state", json.Unmarshal([]byte(n.ok("state", "one")), &s))
		// One that waits at the barrier, in the first one's PID namespace.
		n.ok("create", "--bundle", n.bundle("true", func(spec *specs.Spec) {
			for i := range spec.Linux.Namespaces {
				if spec.Linux.Namespaces[i].Type == "pid" {
					spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/pid", s.Pid)
				}
			}
		}), "two")
		var said output
		cmd := n.command("exec", "--detach", "one", "/mnt/helper", "overwrite") // in the foreground it would execute the file all the time
		cmd.Stdout = said.make(t)
		check.NoError(t, "exec", cmd.Run())
		check.Eventually(t, "an attempt to write to the program", "what became of it", func() bool { return said.text() != "" })
		check.Equal(t, "what writing to the program said", c.want.Error()+"\n", said.text())
		if c.file != "" {
			now, err := os.ReadFile(c.file)
			check.NoError(t, "read the program", err)
			check.True(t, "the program", now[0] == 0x7f, "changed", "as before")
		}
		n.ok("delete", "--force", "two")
		n.ok("delete", "--force", "one")
	}
}
