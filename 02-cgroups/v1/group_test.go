package v1

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	cgroups "coracle/02-cgroups"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "02-cgroups/v1", Cgroup: true, Reexec: func() {
		Reexec()
		if os.Args[0] == "test:stand" {
			os.Stdout.WriteString("standing\n")
			for {
				unix.Ppoll(nil, nil, nil)
			}
		}
	}}))
}

// One group with all limits: what is in the files, that a process is born behind
// the gate, and that Kill works without the help of v2.
func TestGroup_WithoutV2(t *testing.T) {
	for _, e := range exercise.Of(2) {
		if !exercise.Written(e.ID) {
			t.Skipf("exercise %s (%s) is not written yet: open %s, read %s", e.ID, e.Title, e.File, e.Page())
		}
	}
	sandbox.Need(t, sandbox.Feature{Name: "cgroup v1", Fix: "a machine that boots with systemd.unified_cgroup_hierarchy=0, and root",
		Has: func() error { return unix.Access("/sys/fs/cgroup/memory/cgroup.procs", unix.W_OK) }})
	limits := cgroups.Limits{Memory: cgroups.Memory{Max: 64 << 20}, CPU: cgroups.CPU{Request: 500, Limit: 250}, Pids: cgroups.Pids{Max: 60}}
	name := hostgroup.Name("v1test")
	g, err := New(name, limits)
	check.NoError(t, "New", err)
	defer g.Remove()
	g.v2 = nil
	for file, want := range map[string]string{
		"memory/memory.limit_in_bytes": "67108864", "cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000", "cpu/cpu.shares": "512", "pids/pids.max": "60",
	} {
		dir, base := filepath.Split(file)
		b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", dir, name, base))
		check.NoError(t, "read "+file, err)
		check.Equal(t, file, want, strings.TrimSpace(string(b)))
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "test:stand"
	out, err := cmd.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "Start", g.Start(cmd))
	_, err = check.Within(t, "read from the command", "a line", func() (int, error) { return out.Read(make([]byte, 20)) })
	check.NoError(t, "read from the command", err)
	b, err := os.ReadFile("/sys/fs/cgroup/memory/" + name + "/cgroup.procs")
	check.True(t, "the memory group", err == nil && len(strings.Fields(string(b))) == 1, string(b), "one process in it")
	ctx, cancel := context.WithTimeout(t.Context(), check.Deadline)
	defer cancel()
	check.NoError(t, "Kill", g.Kill(ctx))
	cmd.Wait()
	check.Equal(t, "how it ended", syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	check.NoError(t, "Remove", g.Remove())
	_, err = os.Stat("/sys/fs/cgroup/memory/" + name)
	check.ErrorIs(t, "the folder after Remove", err, os.ErrNotExist)

	g, err = New(name, limits)
	check.NoError(t, "New", err)
	defer g.Remove()
	plain := filepath.Join(t.TempDir(), "plain")
	check.NoError(t, "write a file", os.WriteFile(plain, nil, 0o644))
	err = g.Start(&exec.Cmd{Path: plain, Args: []string{"x"}})
	check.ErrorIs(t, "Start of a file that is not executable", err, syscall.EACCES)
}
