package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	namespaces "coracle/01-namespaces"
	"coracle/internal/base"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name: what is tested is what was
// built, over whatever overlay.
func TestMain(m *testing.M) {
	namespaces.Reexec()
	if os.Args[0] == "image" {
		main()
	}
	o := sandbox.Options{Dir: "03-images/cmd/image", Cgroup: true}
	remove := o.OnDisk()
	code := sandbox.Main(m, o)
	remove()
	os.Exit(code)
}

// need skips the test while an exercise of this chapter, or of those that RUN uses,
// is unwritten, and where the machine lacks something.
func need(t testing.TB, features ...sandbox.Feature) {
	t.Helper()
	exercise.NeedAll(t)
	sandbox.Need(t, features...)
}

// baseRoot is the workshop's root file system: what has a shell.
var baseRoot = sandbox.Feature{Name: "the base root file system", Fix: "./lab run 1 isolate -- true", Has: func() error {
	_, err := base.Current()
	return err
}}

// examples is the workshop's folder of Dockerfiles.
const examples = "../../../examples"

// A user calls image, with one store.
type user struct {
	t     *testing.T
	store string
	stdin []byte
	as    func(*exec.Cmd)
}

func newUser(t *testing.T) *user { return &user{t: t, store: filepath.Join(t.TempDir(), "store")} }

// command is image with these arguments.
func (u *user) command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "image"
	cmd.Env = append(os.Environ(), "CORACLE_STORE="+u.store, "SOURCE_DATE_EPOCH=")
	cmd.Stdin = bytes.NewReader(u.stdin)
	if u.as != nil {
		u.as(cmd)
	}
	return cmd
}

// patience is how long one call may take: a build runs programs.
const patience = time.Minute

// calls runs image to its end.
func (u *user) calls(args ...string) (stdout, stderr string, status int) {
	u.t.Helper()
	var out, errs bytes.Buffer
	cmd := u.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := ends(u.t, cmd)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		check.NoError(u.t, "run image", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func ends(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	check.NoError(t, "start image", cmd.Start())
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	check.True(t, fmt.Sprintf("image %q", cmd.Args[1:]), timer.Stop(), fmt.Sprintf("nothing for %v", patience), "it to end")
	return err
}

// does runs image, which must succeed, and returns what it wrote to stdout.
func (u *user) does(args ...string) string {
	u.t.Helper()
	out, errs, status := u.calls(args...)
	check.True(u.t, fmt.Sprintf("image %q", args), status == 0, fmt.Sprintf("status %d: %s", status, errs), "status 0")
	return out
}

// folderOf makes a folder of files.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		check.NoError(t, "make a folder", os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check.NoError(t, "write "+name, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644))
	}
	return dir
}

// builds makes an image of two layers from scratch, and returns its digest.
func (u *user) builds(name string) string {
	u.t.Helper()
	dir := folderOf(u.t, map[string]string{
		"Dockerfile": "FROM scratch\nCOPY a /a\nCOPY --chown=5:6 b /dir/b\nENV A=b\nCMD [\"/a\"]\n", "a": "first " + name + "\n", "b": "second\n",
	})
	out := u.does("build", "-t", name, dir)
	return strings.Fields(out)[1]
}

// left describes what a call may leave behind: mounts and processes.
func left(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check.NoError(t, "read mountinfo", err)
	procs, err := filepath.Glob("/proc/[0-9]*")
	check.NoError(t, "list processes", err)
	return fmt.Sprintf("%s%v", mounts, procs)
}
