package ours

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/shim"
	"coracle/internal/base"
	"coracle/internal/check"
	box "coracle/internal/sandbox"
)

func TestPod_SharesItsNamespaces(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	check.Equal(t, "its addresses", []string{"10.88.0.2"}, s.IPs)
	show := "readlink /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/ipc; hostname"
	a, b := n.run(s.ID, show, nil), n.run(s.ID, show, func(c *driver.ContainerConfig) { c.Name, c.LogPath = "side", "side/0.log" })
	check.Equal(t, "what one shows", n.log(a), n.log(b))
	check.True(t, "what it shows", strings.HasSuffix(n.log(a), "\nweb\n"), n.log(a), "the pod's host name")
	own, err := os.Readlink("/proc/self/ns/net")
	check.NoError(t, "readlink", err)
	check.True(t, "its network", !strings.Contains(n.log(a), own), own, "one of its own")
	n.prints(s.ID, "10.88.0.2 web", `grep web /etc/hosts | while read a b; do echo $a $b; done`, nil)
	n.prints(s.ID, "1", "echo $$", nil)
	all, err := n.Sandboxes(t.Context())
	check.NoError(t, "Sandboxes", err)
	check.True(t, "Sandboxes", len(all) == 1 && all[0].Labels["a"] == "b" && all[0].UID == "uid", "something else", "the one, with its labels")
}

func TestPod_SharedPIDNamespaceAndSysctls(t *testing.T) {
	n := newNode(t)
	s := n.pod(func(c *driver.SandboxConfig) {
		c.SharePID = true
		c.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "7"}
	})
	n.run(s.ID, forever, nil)
	n.prints(s.ID, "7", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", nil)
	n.prints(s.ID, "1", "grep -c hold /proc/1/cmdline", nil)
	_, err := n.RunSandbox(t.Context(), driver.SandboxConfig{Name: "bad", Sysctls: map[string]string{"net.no.such": "1"}})
	check.ErrorHas(t, "RunSandbox", err, []string{"net.no.such"})
	check.NoError(t, "StopSandbox", n.StopSandbox(t.Context(), s.ID))
	check.NoError(t, "StopSandbox again", n.StopSandbox(t.Context(), s.ID))
	_, err = n.Create(t.Context(), s.ID, driver.ContainerConfig{Name: "late", Image: imageName})
	check.ErrorIs(t, "Create in a stopped sandbox", err, driver.ErrNotRunning)
}

func TestPod_UserNamespace(t *testing.T) {
	n := newNode(t)
	if box.CurrentMode() == box.Single {
		t.Skip("one id is all there is")
	}
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 60000}}
	c := driver.SandboxConfig{UID: "uid", Name: "web", Namespace: "default", Hostname: "web", LogDir: n.dir, UserNS: &driver.IDMaps{UIDs: maps, GIDs: maps}}
	s, err := n.RunSandbox(t.Context(), c)
	check.NoError(t, "RunSandbox", err)
	id, err := n.Create(t.Context(), s.ID, driver.ContainerConfig{Name: "main", Image: imageName, LogPath: "0.log",
		Args: []string{"echo $(cat /proc/self/uid_map); stat -c %u /bin /etc/passwd; echo x >/new; stat -c %u /new; hostname"}})
	if box.CurrentMode() != box.Root && errors.Is(err, driver.ErrUnsupported) {
		t.Skip(err) // the store's file system is not this user namespace's own
	}
	check.NoError(t, "Create", err)
	check.NoError(t, "Start", n.Start(t.Context(), id))
	root, err := base.Current()
	check.NoError(t, "find the base root", err)
	var of unix.Stat_t // whoever made the base root: the image says so, and so it is inside
	check.NoError(t, "stat the base root's /bin", unix.Stat(root+"/bin", &of))
	check.Equal(t, "what it shows", fmt.Sprintf("0 1000 60000\n%d\n%[1]d\n0\nweb\n", of.Uid), n.log(id))
	sn, err := n.Store.Snapshot(id)
	check.NoError(t, "Snapshot", err)
	var st unix.Stat_t
	check.NoError(t, "stat what it wrote", unix.Stat(sn.Upper()+"/new", &st))
	check.Equal(t, "whose that is on the disk", 1000, int(st.Uid))
}

func TestContainer_LifeAndEvents(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := n.Events(ctx)
	check.NoError(t, "Events", err)
	id := n.create(s.ID, "echo hello; exit 3", func(c *driver.ContainerConfig) { c.Labels = map[string]string{"x": "y"} })
	c := n.status(id)
	check.True(t, "its state", c.State == driver.Created && c.Labels["x"] == "y" && c.Sandbox == s.ID && c.StartedAt.IsZero(), string(c.State), "created")
	check.NoError(t, "Start", n.Start(t.Context(), id))
	for _, want := range []driver.EventKind{driver.EventStarted, driver.EventExited} {
		e, _ := check.Within(t, "Events", string(want), func() (driver.Event, error) { return <-events, nil })
		check.True(t, "an event", e.Kind == want && e.Container == id && e.Sandbox == s.ID, string(e.Kind), string(want))
	}
	c = n.status(id)
	check.True(t, "its end", c.State == driver.Exited && c.ExitCode == 3 && c.Reason == "Error", string(c.State)+c.Reason, "exited, with an error")
	check.Equal(t, "its log", "hello\n", n.log(id))
	check.ErrorIs(t, "Start again", n.Start(t.Context(), id), driver.ErrNotRunning)
	cancel()
	check.Within(t, "Events", "the channel to close", func() (int, error) {
		for range events {
		}
		return 0, nil
	})
	_, err = n.Container(t.Context(), strings.Repeat("0", 32))
	check.ErrorIs(t, "Container", err, driver.ErrNotFound)
	check.NoError(t, "Remove", n.Remove(t.Context(), id))
	check.NoError(t, "Remove again", n.Remove(t.Context(), id))
}

func TestContainer_ConfigAboveTheImages(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	n.prints(s.ID, "image", "", func(c *driver.ContainerConfig) { c.Args = nil })
	n.prints(s.ID, "image pod /tmp", "echo $FROM $MINE $PWD", func(c *driver.ContainerConfig) { c.Env, c.Dir = []string{"MINE=pod"}, "/tmp" })
	n.prints(s.ID, "pod", "echo $FROM", func(c *driver.ContainerConfig) { c.Env = []string{"FROM=pod"} })
	n.prints(s.ID, "a b", "", func(c *driver.ContainerConfig) { c.Command, c.Args = []string{"/bin/echo"}, []string{"a", "b"} })
	n.prints(s.ID, "CapEff: 0000000000000000", `grep CapEff /proc/self/status | while read a b; do echo $a $b; done`, func(c *driver.ContainerConfig) { c.Security.Drop = []string{"ALL"} })
	n.prints(s.ID, "CapBnd: 0000000000000400", `grep CapBnd /proc/self/status | while read a b; do echo $a $b; done`, func(c *driver.ContainerConfig) {
		c.Security.Drop, c.Security.Add = []string{"ALL"}, []string{"NET_BIND_SERVICE"}
	})
	n.prints(s.ID, "refused", "touch /new 2>/dev/null || echo refused", func(c *driver.ContainerConfig) { c.Security.ReadonlyRoot = true })
	n.prints(s.ID, "Seccomp: 2", `grep Seccomp: /proc/self/status | while read a b; do echo $a $b; done`, nil)
	if box.CurrentMode() != box.Single {
		uid, gid := int64(1234), int64(77)
		n.prints(s.ID, "1234 77", "echo $(id -u) $(id -g)", func(c *driver.ContainerConfig) { c.Security.User, c.Security.Group = &uid, &gid })
	}
	for _, bad := range []func(*driver.ContainerConfig){
		func(c *driver.ContainerConfig) { c.Command = []string{"/no/such/program"} },
		func(c *driver.ContainerConfig) { c.Image = "test.example/nothing:1" },
		func(c *driver.ContainerConfig) {
			c.Mounts = []driver.Mount{{Source: "/no/such/folder", Target: "/mnt"}}
		},
	} {
		c := driver.ContainerConfig{Name: "bad", Image: imageName}
		bad(&c)
		_, err := n.Create(t.Context(), s.ID, c)
		check.ErrorHas(t, "Create", err, []string{"no"})
		all, err := n.Containers(t.Context())
		check.NoError(t, "Containers", err)
		check.Equal(t, "containers that a failure left", 0, len(all))
	}
}

func TestContainer_Mounts(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	vol := t.TempDir()
	check.NoError(t, "make a file", os.WriteFile(filepath.Join(vol, "file"), []byte("in the volume\n"), 0o644))
	check.NoError(t, "make a link", os.Symlink("/etc", filepath.Join(vol, "out")))
	mount := func(m driver.Mount) func(*driver.ContainerConfig) {
		m.Target = cmp.Or(m.Target, "/mnt")
		return func(c *driver.ContainerConfig) { c.Mounts = []driver.Mount{m} }
	}
	n.prints(s.ID, "in the volume", "cat /mnt/file; echo x >/mnt/new", mount(driver.Mount{Source: vol}))
	n.prints(s.ID, "refused", "touch /mnt/newer 2>/dev/null || echo refused", mount(driver.Mount{Source: vol, Readonly: true}))
	n.prints(s.ID, "in the volume", "cat /data", mount(driver.Mount{Source: vol, SubPath: "file", Target: "/data"}))
	n.prints(s.ID, "", "echo x >/mnt/file", mount(driver.Mount{Source: vol, SubPath: "deep/er"}))
	text, err := os.ReadFile(filepath.Join(vol, "deep/er/file"))
	check.NoError(t, "read what it wrote", err)
	check.Equal(t, "what it wrote", "x\n", string(text))
	n.prints(s.ID, "sh", "ls /mnt/bin | grep '^sh$'", mount(driver.Mount{Image: imageName}))
	for _, sub := range []string{"out", "../x", "out/passwd", "/etc"} {
		c := driver.ContainerConfig{Name: "bad", Image: imageName}
		mount(driver.Mount{Source: vol, SubPath: sub})(&c)
		_, err := n.Create(t.Context(), s.ID, c)
		check.ErrorHas(t, "Create with subPath "+sub, err, []string{"subPath", sub})
	}
}

func TestContainer_Stop(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	stop := func(id, signal string, grace time.Duration) {
		_, err := check.Within(t, "Stop", "the container's end", func() (int, error) { return 0, n.Stop(context.Background(), id, signal, grace) })
		check.NoError(t, "Stop", err)
	}
	id := n.run(s.ID, "echo ready; "+forever, nil)
	check.Eventually(t, "the container", "it to be ready: PID 1 has no signal without a handler", func() bool {
		b, _ := os.ReadFile(n.status(id).LogPath)
		return strings.Contains(string(b), "ready")
	})
	stop(id, "", time.Minute) // the image's SIGINT, which the shell obeys
	c := n.status(id)
	check.True(t, "its end", c.State == driver.Exited && c.ExitCode != 137, c.Reason, "by its own signal")
	stop(id, "", time.Minute)

	id = n.run(s.ID, forever, nil)
	began := time.Now()
	stop(id, "SIGWINCH", 300*time.Millisecond) // which it ignores
	c = n.status(id)
	check.True(t, "its end", c.ExitCode == 137 && time.Since(began) >= 300*time.Millisecond, c.Reason, "killed after its grace")
	id = n.create(s.ID, forever, nil)
	stop(id, "", time.Minute)
	check.ErrorHas(t, "Stop by an unknown signal", n.Stop(t.Context(), n.run(s.ID, forever, nil), "SIGNO", time.Second), []string{"SIGNO"})
	running := n.run(s.ID, forever, nil)
	check.ErrorHas(t, "Remove a running one", n.Remove(t.Context(), running), []string{"runs"})
}

func TestStreams_ExecAttachPortForward(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	id := n.run(s.ID, "read line; echo got $line; "+forever, func(c *driver.ContainerConfig) { c.Stdin = true })
	var out, errs strings.Builder
	code, err := check.Within(t, "Exec", "its end", func() (int, error) {
		return n.Exec(context.Background(), id, driver.ExecConfig{Command: []string{"sh", "-c", "cat; echo $FROM; echo bad >&2; exit 7"},
			Streams: driver.Streams{Stdin: strings.NewReader("hello\n"), Stdout: &out, Stderr: &errs}})
	})
	check.NoError(t, "Exec", err)
	check.True(t, "what it says", code == 7 && out.String() == "hello\nimage\n" && errs.String() == "bad\n", out.String()+errs.String(), "its streams and its status")
	out.Reset()
	code, err = check.Within(t, "Exec with a terminal", "its end", func() (int, error) {
		return n.Exec(context.Background(), id, driver.ExecConfig{Command: []string{"sh", "-c", "readlink /proc/self/fd/0; exit 5"}, Streams: driver.Streams{Stdout: &out, TTY: true}})
	})
	check.NoError(t, "Exec with a terminal", err)
	check.True(t, "what it says", code == 5 && strings.HasPrefix(out.String(), "/dev/pts/"), out.String(), "a terminal")
	_, err = n.Exec(t.Context(), id, driver.ExecConfig{Command: []string{"/no/such"}})
	check.ErrorHas(t, "Exec of nothing", err, []string{"/no/such"})

	outR, outW := io.Pipe()
	attached := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { attached <- n.Attach(ctx, id, driver.Streams{Stdin: strings.NewReader("me\n"), Stdout: outW}) }()
	line, err := check.Within(t, "Attach", "a line", func() (string, error) { return bufio.NewReader(outR).ReadString('\n') })
	check.NoError(t, "read", err)
	check.Equal(t, "its line", "got me\n", line)
	cancel()
	check.Within(t, "Attach", "its end", func() (int, error) { return 0, <-attached })

	var l net.Listener
	check.NoError(t, "listen in the pod", inPod(n, s.ID, func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:8080"); return err }))
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	ours, theirs := net.Pipe()
	forwarded := make(chan error, 1)
	go func() { forwarded <- n.PortForward(t.Context(), s.ID, 8080, theirs) }()
	go ours.Write([]byte("ping"))
	b := make([]byte, 4)
	_, err = check.Within(t, "PortForward", "an echo", func() (int, error) { return io.ReadFull(ours, b) })
	check.NoError(t, "read", err)
	check.Equal(t, "the echo", "ping", string(b))
	ours.Close()
	check.Within(t, "PortForward", "its end", func() (int, error) { <-forwarded; return 0, nil })
	l.Close()
	check.ErrorHas(t, "PortForward to nobody", n.PortForward(t.Context(), s.ID, 9, theirs), []string{"port 9"})
}

// The agent is killed; another one has the folders alone.
func TestDriver_FoundAgain(t *testing.T) {
	n := newNode(t)
	n.Network = nil
	cmd := exec.Command("/proc/self/exe", n.dir)
	cmd.Args[0] = "test:agent"
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start an agent", cmd.Start())
	line, err := check.Within(t, "the agent", "a container", func() (string, error) { return bufio.NewReader(out).ReadString('\n') })
	check.NoError(t, "read", err)
	id, said, _ := strings.Cut(strings.TrimSpace(line), " ")
	check.Equal(t, "what it says", "<nil>", said)
	check.NoError(t, "kill it", cmd.Process.Kill())
	cmd.Wait()

	n.open()
	check.Equal(t, "the container's state", driver.Running, n.status(id).State)
	sandboxes, err := n.Sandboxes(t.Context())
	check.NoError(t, "Sandboxes", err)
	check.True(t, "Sandboxes", len(sandboxes) == 1 && sandboxes[0].Ready, "something else", "one that is ready")
	events, err := n.Events(t.Context())
	check.NoError(t, "Events", err)
	check.NoError(t, "Attach", n.Attach(t.Context(), id, driver.Streams{Stdin: strings.NewReader("go\n")}))
	e, _ := check.Within(t, "Events", "its exit", func() (driver.Event, error) { return <-events, nil })
	check.True(t, "the event", e.Kind == driver.EventExited && e.Container == id, string(e.Kind), "exited")
	check.Equal(t, "the exit code", 3, n.status(id).ExitCode)
}

// A shim that is killed takes its container along.
func TestDriver_ShimKilled(t *testing.T) {
	n := newNode(t)
	s := n.pod(nil)
	id := n.run(s.ID, forever, nil)
	state, _, err := shim.Find(n.path("containers", id))
	check.NoError(t, "Find", err)
	check.NoError(t, "kill the shim", state.Shim.Kill())
	c := n.ends(id)
	check.True(t, "its end", c.ExitCode == 137 && strings.Contains(c.Message, "shim"), c.Message, "137, and why")
	check.Eventually(t, "its process", "its end", func() bool { return !state.Container.Alive() })
	check.NoError(t, "Remove", n.Remove(t.Context(), id))
}

func TestDriver_LimitsAndStats(t *testing.T) {
	n := newNode(t)
	if box.CurrentMode() != box.Root && !pureV2() {
		t.Skip("an ordinary user's v1 groups limit nothing")
	}
	s := n.pod(func(c *driver.SandboxConfig) { c.Resources = driver.Resources{PidsLimit: 100} })
	id := n.run(s.ID, "head -c 1000000 /dev/zero >/new; "+forever, func(c *driver.ContainerConfig) {
		c.Resources = driver.Resources{MemoryLimit: 64 << 20, PidsLimit: 20, MilliCPULimit: 500, CPUShares: 512}
	})
	var st driver.Stats
	check.Eventually(t, "Stats", "what it wrote", func() bool {
		var err error
		st, err = n.Stats(t.Context(), id)
		check.NoError(t, "Stats", err)
		return st.RootFS >= 1000000
	})
	pod, err := n.Stats(t.Context(), s.ID)
	check.NoError(t, "Stats of the pod", err)
	check.True(t, "Stats", st.Pids > 0 && st.Memory > 0 && st.CPU > 0 && pod.Pids >= 1, "zeros", "numbers")
	check.NoError(t, "Update", n.Update(t.Context(), id, driver.Resources{PidsLimit: 30}))
	check.NoError(t, "Update of the pod", n.Update(t.Context(), s.ID, driver.Resources{PidsLimit: 90}))
	hog := n.run(s.ID, "", func(c *driver.ContainerConfig) {
		c.Command, c.Args = []string{"/bin/stress", "--vm", "200M", "--timeout", "5s"}, nil
		c.Name, c.Resources.MemoryLimit = "hog", 32<<20
	})
	c := n.ends(hog)
	check.True(t, "the hog's end", c.OOMKilled && c.Reason == "OOMKilled" && c.ExitCode == 137, c.Reason, "OOMKilled")
}
