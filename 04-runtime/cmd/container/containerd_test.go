package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

var containerdInstalled = sandbox.Feature{Name: "containerd, ctr and its runc shim", Fix: "apt-get install containerd", Has: func() error {
	for _, p := range []string{"containerd", "ctr", "containerd-shim-runc-v2"} {
		if _, err := exec.LookPath(p); err != nil {
			return err
		}
	}
	_, err := sandbox.Group()
	return err
}}

// containerd starts one, and returns ctr.
func containerd(t *testing.T) (ctr func(args ...string) *exec.Cmd) {
	t.Helper()
	need(t, realRoot, containerdInstalled)
	check.NoError(t, "mount /run", unix.Mount("tmpfs", "/run", "tmpfs", 0, "")) // for the shims' sockets
	t.Cleanup(func() { unix.Unmount("/run", unix.MNT_DETACH) })
	dir := t.TempDir()
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %[3]q\n", dir+"/root", dir+"/state", dir+"/sock")
	check.NoError(t, "write a config", os.WriteFile(dir+"/config.toml", []byte(config), 0o644))
	log, err := os.Create(dir + "/log")
	check.NoError(t, "make a file for containerd's log", err)
	cmd := exec.Command("containerd", "--config", dir+"/config.toml")
	cmd.Stdout, cmd.Stderr = log, log
	check.NoError(t, "start containerd", cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
		log.Close()
	})
	ctr = func(args ...string) *exec.Cmd {
		return exec.Command("ctr", append([]string{"-a", dir + "/sock"}, args...)...)
	}
	for end := time.Now().Add(time.Minute); ctr("version").Run() != nil; time.Sleep(20 * time.Millisecond) {
		said, _ := os.ReadFile(log.Name())
		check.True(t, "start containerd", time.Now().Before(end), string(said[max(0, len(said)-500):]), "an answer within a minute")
	}
	return ctr
}

// containerd's shim for runc calls this runtime in its place, and reaps the container.
func TestContainerd_Shim(t *testing.T) {
	ctr := containerd(t)
	root, err := base.Current()
	check.NoError(t, "find the base root", err)
	binary := runtimeFile(t)
	run := func(flags string, args ...string) (string, int) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		all := append(strings.Fields("run --runc-binary "+binary+" --env PATH=/bin "+flags+" --rootfs "+root), args...)
		whole := ctr(all...)
		cmd := exec.CommandContext(ctx, whole.Args[0], whole.Args[1:]...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, c := range []struct{ flags, script, want string }{
		{"--rm", "echo $$; exit 7", "1\n7"},
		{"--rm --cwd /tmp --env A=b", "pwd; echo $A", "/tmp\nb\n0"},
	} {
		out, status := run(c.flags, "one", "sh", "-c", c.script)
		check.Equal(t, "ctr run "+c.flags+": "+c.script, c.want, fmt.Sprint(out, status))
	}
	out, status := run("-d", "two", "sleep", "1000")
	check.Equal(t, "ctr run -d", "0", fmt.Sprint(out, status))
	did := func(args ...string) string {
		out, err := ctr(args...).CombinedOutput()
		check.NoError(t, fmt.Sprintf("ctr %q, which said %s", args, out), err)
		return string(out)
	}
	check.Equal(t, "ctr task exec", "two\n", did("task", "exec", "--exec-id", "x", "two", "sh", "-c", "echo two"))
	did("task", "pause", "two")
	check.True(t, "ctr task ls", strings.Contains(did("task", "ls"), "PAUSED"), did("task", "ls"), "PAUSED")
	did("task", "resume", "two")
	check.True(t, "ctr task ps", strings.Count(did("task", "ps", "two"), "\n") == 2, did("task", "ps", "two"), "a heading and one process")
	check.True(t, "ctr task metrics", strings.Contains(did("task", "metrics", "two"), "memory"), did("task", "metrics", "two"), "memory")
	did("task", "kill", "-s", "KILL", "two")
	check.Eventually(t, "ctr task kill", "it to be STOPPED", func() bool { return strings.Contains(did("task", "ls"), "STOPPED") })
	out2, _ := ctr("task", "rm", "two").CombinedOutput() // its status is the task's
	check.True(t, "ctr task rm", !strings.Contains(did("task", "ls"), "two"), string(out2)+did("task", "ls"), "no task")
	did("container", "rm", "two")
	out, status = run("--rm", "four", "no-such")
	check.True(t, "ctr run of a program that is not there", status != 0 && strings.Contains(out, "executable file not found in $PATH"), fmt.Sprint(status, " ", out), "executable file not found in $PATH")
}
