package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/04-runtime/oci"
	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/peer"
	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name: what is tested is what was
// built, over whatever overlay.
func TestMain(m *testing.M) {
	oci.Init()
	if filepath.Base(os.Args[0]) == "coracle-runtime" {
		main()
	}
	if os.Args[0] == "/mnt/helper" {
		os.Exit(helpers[os.Args[1]]())
	}
	if peer.Benchmarking() {
		os.Exit(m.Run())
	}
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime/cmd/container", Cgroup: true}))
}

// need skips the test while an exercise that the runtime uses is unwritten, and where
// the machine lacks something.
func need(t testing.TB, features ...sandbox.Feature) {
	t.Helper()
	exercise.NeedAll(t)
	sandbox.Need(t, append([]sandbox.Feature{baseRoot, static}, features...)...)
}

// baseRoot is the workshop's root file system: what has a shell.
var baseRoot = sandbox.Feature{Name: "the base root file system", Fix: "./lab run 1 isolate -- true", Has: func() error {
	_, err := base.Current()
	return err
}}

// static is a test binary that runs in a root without a dynamic loader, as the program does.
var static = sandbox.Feature{Name: "a static test binary", Fix: "CGO_ENABLED=0 go test …, or ./lab test 4", Has: func() error {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("it was built with cgo")
	}
	return nil
}}

// realRoot is what an engine wants.
var realRoot = sandbox.Feature{Name: "real root", Fix: "sudo", Has: func() error {
	if sandbox.CurrentMode() != sandbox.Root {
		return errors.New("the tests run as an ordinary user")
	}
	return nil
}}

// runtimeFile is the program as a file, for those who execute it themselves.
func runtimeFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "coracle-runtime")
	text, err := os.ReadFile("/proc/self/exe")
	check.NoError(t, "read the program", err)
	check.NoError(t, "write the program", os.WriteFile(file, text, 0o755))
	return file
}

// A node has a folder of containers.
type node struct {
	t    *testing.T
	root string
	file string // the program's; "": the test binary
}

func newNode(t *testing.T, features ...sandbox.Feature) *node {
	t.Helper()
	need(t, features...)
	n := &node{t: t, root: t.TempDir()}
	t.Cleanup(func() {
		out, _, _ := n.calls("list", "-q")
		for _, id := range strings.Fields(out) {
			n.calls("delete", "--force", id)
		}
	})
	return n
}

// bundle makes a bundle that runs a shell script in the base root: the example's, for
// whom the tests run as, with what change changes.
func (n *node) bundle(script string, change func(*specs.Spec)) string {
	n.t.Helper()
	root, err := base.Current()
	check.NoError(n.t, "find the base root", err)
	spec := oci.Example()
	spec.Root.Path, spec.Process.Terminal = root, false
	spec.Process.Args = []string{"/bin/sh", "-c", script}
	spec.Process.Env = []string{"PATH=/bin"}
	if sandbox.CurrentMode() != sandbox.Root { // root of a user namespace, which may make another
		oci.MakeRootless(spec, 0, 0)
	}
	if change != nil {
		change(spec)
	}
	dir := n.t.TempDir()
	b, err := json.Marshal(spec)
	check.NoError(n.t, "write a config.json", err)
	check.NoError(n.t, "write a config.json", os.WriteFile(dir+"/config.json", b, 0o644))
	return dir
}

// command is container with these arguments.
func (n *node) command(args ...string) *exec.Cmd {
	file := n.file
	if file == "" {
		file = "/proc/self/exe"
	}
	cmd := exec.Command(file, append([]string{"--root", n.root}, args...)...)
	cmd.Args[0] = "coracle-runtime"
	return cmd
}

// patience is how long one call may take, on an emulated machine too.
const patience = 30 * time.Second

// calls runs container to its end. Its output goes to files: a container that it
// leaves would hold a pipe open.
func (n *node) calls(args ...string) (stdout, stderr string, status int) {
	n.t.Helper()
	cmd := n.command(args...)
	var out, errs output
	cmd.Stdout, cmd.Stderr = out.make(n.t), errs.make(n.t)
	check.NoError(n.t, "start container", cmd.Start())
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	check.True(n.t, "container "+strings.Join(args, " "), late.Stop(), "nothing for "+patience.String(), "it to end")
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		check.NoError(n.t, "run container", err)
	}
	return out.text(), errs.text(), cmd.ProcessState.ExitCode()
}

// ok is calls for what must work; it returns what was said on stdout.
func (n *node) ok(args ...string) string {
	n.t.Helper()
	out, errs, status := n.calls(args...)
	check.Equal(n.t, fmt.Sprintf("the status of container %q, which said %q", args, errs), 0, status)
	return out
}

// fails is calls for what must not, with one line that holds each of the words.
func (n *node) fails(words []string, args ...string) {
	n.t.Helper()
	out, errs, status := n.calls(args...)
	did := fmt.Sprintf("container %q", args)
	check.True(n.t, did, status != 0 && out == "", fmt.Sprintf("status %d, %q", status, out), "an error")
	check.Equal(n.t, did+", which said "+errs+"and how many lines that is", 1, strings.Count(errs, "\n"))
	for _, w := range words {
		check.True(n.t, did, strings.Contains(errs, w), errs, w)
	}
}

// status is what state says.
func (n *node) status(id string) string {
	n.t.Helper()
	var s specs.State
	check.NoError(n.t, "read the state of "+id, json.Unmarshal([]byte(n.ok("state", id)), &s))
	return string(s.Status)
}

// ends waits until a container has stopped.
func (n *node) ends(id string) {
	n.t.Helper()
	check.Eventually(n.t, "the container "+id, "it to stop", func() bool { return n.status(id) == "stopped" })
}

// An output takes what a process writes.
type output struct{ *os.File }

func (f *output) make(t testing.TB) *os.File {
	var err error
	f.File, err = os.CreateTemp(t.TempDir(), "out")
	check.NoError(t, "make a file", err)
	return f.File
}

func (f *output) text() string {
	b, _ := os.ReadFile(f.Name())
	return string(b)
}

// buffer is a bytes.Buffer that may be read while it is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
