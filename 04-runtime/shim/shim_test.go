package shim

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/04-runtime/oci"
	"coracle/internal/check"
)

func TestShim_ExitAndOutputAreKept(t *testing.T) {
	b := newBox(t, "echo out; echo err >&2; printf end; exit 3")
	b.run()
	s := b.ends()
	check.Equal(t, "the exit code", 3, s.ExitCode)
	check.True(t, "the times", !s.CreatedAt.After(s.StartedAt) && !s.StartedAt.After(s.FinishedAt) && !s.CreatedAt.IsZero(),
		s.CreatedAt.String()+s.StartedAt.String()+s.FinishedAt.String(), "one after another")
	lines := b.output()
	for _, want := range []string{"out\n", "err\n", "end"} {
		check.True(t, "the log", strings.Contains(lines, want), lines, want)
	}
	b.gone()
	found, life, err := Find(b.Dir)
	check.NoError(t, "Find", err)
	check.Equal(t, "what became of the shim", Ended, life)
	check.Equal(t, "what it left", s, found)
	_, err = os.Stat(filepath.Join(b.Dir, socketFile))
	check.ErrorIs(t, "the socket", err, fs.ErrNotExist)
}

func TestShim_CreatedIsNotStarted(t *testing.T) {
	b := newBox(t, "trap 'exit 0' TERM; echo began; while :; do sleep 0.02; done")
	b.create()
	s, err := b.State(t.Context())
	check.NoError(t, "State", err)
	check.True(t, "the state", s.StartedAt.IsZero() && !s.Exited && s.Container.PID > 0, s.StartedAt.String(), "created and no more")
	check.Equal(t, "the log", "", b.output())
	check.ErrorIs(t, "a second shim in the folder", again(b), errSecond)
	check.NoError(t, "Run", b.Run(t.Context()))
	check.ErrorIs(t, "Run again", b.Run(t.Context()), ErrNotRunning)
	b.says("began")
	check.NoError(t, "Kill", b.Kill(t.Context(), unix.SIGTERM, false))
	check.Equal(t, "the exit code", 0, b.ends().ExitCode)
}

var errSecond = errors.New("a second one")

func again(b *box) error {
	err := Start(b.t.Context(), "/proc/self/exe", b.Dir, b.Config)
	if err != nil && strings.Contains(err.Error(), "has a shim already") {
		return errSecond
	}
	return err
}

func null(t testing.TB) (files [3]*os.File) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check.NoError(t, "open the null device", err)
	t.Cleanup(func() { f.Close() })
	return [3]*os.File{f, f, f}
}

func TestShim_SaysWhyThereIsNoContainer(t *testing.T) {
	b := newBox(t, "")
	b.spec.Process.Args = []string{"/no/such/program"}
	b.write()
	err := Start(t.Context(), "/proc/self/exe", b.Dir, b.Config)
	check.ErrorHas(t, "Start", err, []string{"/no/such/program"})
	b.gone()
	s, life, err := Find(b.Dir)
	check.NoError(t, "Find", err)
	check.True(t, "what is left", life == Lost && strings.Contains(s.Error, "/no/such/program"), s.Error, "the reason")
	_, _, err = (&oci.Runtime{Root: b.Root}).State(b.ID)
	check.ErrorIs(t, "the runtime's state", err, oci.ErrNotExist)
}

// The agent is killed. Its container runs on; whoever has the folder finds it, speaks
// to it, and learns how it ended.
func TestShim_OutlivesTheAgent(t *testing.T) {
	b := newBox(t, "trap 'echo stopped; exit 7' TERM; echo began; while :; do sleep 0.05; done")
	b.write()
	text, err := json.Marshal(b.Config)
	check.NoError(t, "encode", err)
	check.NoError(t, "write", os.WriteFile(filepath.Join(b.Dir, "agent.json"), text, 0o600))
	agent := exec.Command("/proc/self/exe", b.Dir)
	agent.Args[0] = "test:agent"
	agent.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	out, err := agent.StdoutPipe()
	check.NoError(t, "make a pipe", err)
	check.NoError(t, "start the agent", agent.Start())
	line, err := check.Within(t, "the agent", "a running container", func() (string, error) { return bufio.NewReader(out).ReadString('\n') })
	check.NoError(t, "read what the agent says", err)
	check.Equal(t, "what the agent says", "<nil>\n", line)
	b.says("began")
	check.NoError(t, "kill the agent and its group", unix.Kill(-agent.Process.Pid, unix.SIGKILL))
	agent.Wait()

	s, life, err := Find(b.Dir)
	check.NoError(t, "Find", err)
	check.Equal(t, "the shim", Alive, life)
	check.True(t, "the container's process", s.Container.Alive(), "gone", "alive")
	check.NoError(t, "Kill", b.Kill(t.Context(), unix.SIGTERM, false))
	check.Equal(t, "the exit code", 7, b.ends().ExitCode)
	check.True(t, "the log", strings.HasSuffix(b.output(), "stopped\n"), b.output(), "what it said after the agent's death")
}

// The shim is killed: the container is lost, what is left of it can be found and ended,
// and a process that gets the shim's PID is not taken for it.
func TestShim_Killed(t *testing.T) {
	b := newBox(t, "while :; do sleep 0.05; done")
	b.run()
	s, life, err := Find(b.Dir)
	check.NoError(t, "Find", err)
	check.Equal(t, "the shim", Alive, life)
	check.NoError(t, "kill the shim", unix.Kill(s.Shim.PID, unix.SIGKILL))
	b.gone()
	s, life, err = Find(b.Dir)
	check.NoError(t, "Find", err)
	check.True(t, "the container", life == Lost && !s.Exited, "not lost", "lost")
	check.True(t, "its process", s.Container.Alive(), "gone", "there still, to be ended by who finds it")
	_, err = b.State(t.Context())
	check.ErrorIs(t, "State", err, ErrLost)
	check.NoError(t, "Delete", (&oci.Runtime{Root: b.Root}).Delete(b.ID, true))
	check.Eventually(t, "its process", "its end", func() bool { return !s.Container.Alive() })

	s.Shim = ProcessOf(os.Getpid())
	s.Shim.StartTime++
	check.NoError(t, "Save", Save(b.Dir, s))
	_, life, err = Find(b.Dir)
	check.NoError(t, "Find", err)
	check.Equal(t, "the shim, its PID being another's", Lost, life)
}

func TestShim_IgnoredSignals(t *testing.T) {
	b := newBox(t, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	b.run()
	b.says("ready")
	s, err := b.State(t.Context())
	check.NoError(t, "State", err)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT} {
		check.NoError(t, "a signal to the shim", unix.Kill(s.Shim.PID, sig))
	}
	check.NoError(t, "SIGTERM to the container", b.Kill(t.Context(), unix.SIGTERM, false))
	_, err = b.State(t.Context())
	check.NoError(t, "State after signals", err)
	check.NoError(t, "SIGKILL", b.Kill(t.Context(), unix.SIGKILL, false))
	s = b.ends()
	check.True(t, "the end", s.ExitCode == 137 && s.Signal == unix.SIGKILL && !s.OOM, string(marshal(s)), "137, by SIGKILL, not for memory")
	b.gone()
	check.ErrorIs(t, "Kill afterwards", b.Kill(t.Context(), unix.SIGKILL, false), ErrNotRunning)
}

// What the first process leaves behind ends with it, so that the log ends.
func TestShim_LeftProcessesEnd(t *testing.T) {
	b := newBox(t, "(trap '' TERM HUP; sleep 4321) & echo left; exit 4")
	b.spec.Linux.Namespaces = drop(b.spec.Linux.Namespaces, specs.PIDNamespace)
	if b.spec.Linux.Resources == nil { // an ordinary user
		b.spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "none", Source: "/proc", Options: []string{"rbind"}}
	}
	b.run()
	s := b.ends()
	check.Equal(t, "the exit code", 4, s.ExitCode)
	check.Equal(t, "the log", "left\n", b.output())
	if c, _, err := (&oci.Runtime{Root: b.Root}).State(b.ID); err != nil || len(c.Cgroup) == 0 {
		return // no group, by which it could be known
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check.NoError(t, "list processes", err)
	for _, p := range procs {
		text, _ := os.ReadFile(p)
		check.True(t, "processes", !strings.Contains(string(text), "4321"), string(text), "none that it left")
	}
}

func drop(all []specs.LinuxNamespace, kind specs.LinuxNamespaceType) (rest []specs.LinuxNamespace) {
	for _, ns := range all {
		if ns.Type != kind {
			rest = append(rest, ns)
		}
	}
	return rest
}
