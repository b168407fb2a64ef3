package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/04-runtime/crilog"
	"coracle/04-runtime/oci"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// The test binary is the small program too, by its name.
func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime/shim", Cgroup: true, Reexec: func() {
		oci.Init()
		switch {
		case os.Args[0] == "coracle-runtime":
			Program()
		case os.Args[0] == "test:agent":
			agent(os.Args[1])
		}
	}}))
}

// agent starts a container and is killed.
func agent(dir string) {
	var c Config
	err := readJSON(dir, "agent.json", &c)
	if err == nil {
		err = Start(context.Background(), "/proc/self/exe", dir, c)
	}
	if err == nil {
		err = Client{dir}.Run(context.Background())
	}
	fmt.Println(err)
	select {}
}

// A box is a container to be, with its folder.
type box struct {
	t testing.TB
	Client
	Config
	spec *specs.Spec
}

var boxes atomic.Int32 // an id is a group's name as well

func newBox(t testing.TB, script string) *box {
	t.Helper()
	exercise.NeedAll(t)
	sandbox.Need(t)
	dir := t.TempDir()
	b := &box{t: t, Client: Client{filepath.Join(dir, "box")}, spec: oci.Example()}
	b.Config = Config{ID: fmt.Sprint("box", boxes.Add(1)), Root: filepath.Join(dir, "state"), Log: filepath.Join(dir, "0.log")}
	b.spec.Root.Path, b.spec.Process.Terminal = filepath.Join(dir, "rootfs"), false
	b.spec.Process.Args = []string{"/bin/sh", "-c", script}
	for _, d := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr"} { // the machine's programs, read-only
		if to, err := os.Readlink(d); err == nil { // as /bin is where /usr is merged
			check.NoError(t, "make a root", errors.Join(os.MkdirAll(b.spec.Root.Path, 0o755), os.Symlink(to, b.spec.Root.Path+d)))
		} else if _, err := os.Stat(d); err == nil {
			b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: d, Type: "bind", Source: d, Options: []string{"rbind", "ro"}})
			check.NoError(t, "make a root", os.MkdirAll(b.spec.Root.Path, 0o755))
		}
	}
	if sandbox.CurrentMode() != sandbox.Root {
		oci.MakeRootless(b.spec, 0, 0)
	}
	check.NoError(t, "make the folder", os.Mkdir(b.Dir, 0o700))
	t.Cleanup(func() {
		(&oci.Runtime{Root: b.Root}).Delete(b.ID, true)
		if s, life, err := Find(b.Dir); err == nil && life == Alive {
			if unix.Kill(s.Shim.PID, unix.SIGKILL); t.Failed() {
				return
			}
			check.Eventually(t, "clean up", "the shim to be gone", func() bool { return !s.Shim.Alive() })
		}
	})
	return b
}

func (b *box) write() {
	b.t.Helper()
	text, err := json.Marshal(b.spec)
	check.NoError(b.t, "encode config.json", err)
	check.NoError(b.t, "write config.json", os.WriteFile(filepath.Join(b.Dir, "config.json"), text, 0o600))
}

// create starts the shim, run the program as well.
func (b *box) create() {
	b.t.Helper()
	b.write()
	_, err := check.Within(b.t, "Start", "a shim", func() (int, error) {
		return 0, Start(context.Background(), "/proc/self/exe", b.Dir, b.Config)
	})
	check.NoError(b.t, "Start", err)
}

func (b *box) run() {
	b.t.Helper()
	b.create()
	check.NoError(b.t, "Run", b.Run(b.t.Context()))
}

// ends waits for the container's end, by the shim or by what it left.
func (b *box) ends() State {
	b.t.Helper()
	s, err := check.Within(b.t, "Wait", "the container's end", func() (State, error) { return b.Wait(context.Background()) })
	check.NoError(b.t, "Wait", err)
	return s
}

// output is what the log has.
func (b *box) output() string {
	b.t.Helper()
	var text strings.Builder
	check.NoError(b.t, "read the log", crilog.Read(b.t.Context(), b.Log, crilog.ReadOptions{Tail: -1}, &text, &text))
	return text.String()
}

// says waits until the log has a text.
func (b *box) says(text string) {
	b.t.Helper()
	check.Eventually(b.t, "the container's log", text, func() bool {
		raw, _ := os.ReadFile(b.Log)
		return strings.Contains(string(raw), text)
	})
}

// gone waits until the shim has ended, and all that it was to leave is there.
func (b *box) gone() {
	b.t.Helper()
	check.Eventually(b.t, "the shim", "it to end", func() bool {
		var s State
		return readJSON(b.Dir, stateFile, &s) == nil && !s.Shim.Alive()
	})
}
