//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// fixture is a workshop in small (testdata/workshop) on this module's own
// internals, with the tool built from it: its table of exercises is the small one.
var fixture struct{ dir, lab string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "lab-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		fixture.dir, fixture.lab = filepath.Join(dir, "workshop"), filepath.Join(dir, "lab")
		if err := makeFixture(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func makeFixture() error {
	for _, name := range []string{"go.mod", "go.sum", "lab"} {
		if err := copyFile("../../"+name, filepath.Join(fixture.dir, name)); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{".": "cmd/lab", "../../internal": "internal", "testdata/workshop": "."} {
		if err := copyTree(from, filepath.Join(fixture.dir, to)); err != nil {
			return err
		}
	}
	for _, cmd := range [][]string{{"go", "build", "-buildvcs=false", "-o", fixture.lab, "./cmd/lab"}, {fixture.lab, "dev", "gen"}} {
		build := exec.Command(cmd[0], cmd[1:]...)
		build.Dir = fixture.dir
		build.Env = append(os.Environ(), "CGO_ENABLED=0", rootVar+"="+fixture.dir)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return os.RemoveAll(filepath.Join(fixture.dir, ".lab"))
}

// copyTree copies what a checkout needs: no tests but those of the small workshop.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		small := strings.HasSuffix(from, "workshop")
		switch {
		case d.IsDir() && d.Name() == "testdata" && path != from:
			return fs.SkipDir
		case d.IsDir() || !small && strings.HasSuffix(path, "_test.go"):
			return nil
		case !small && strings.HasPrefix(rel, "exercise/chapter"):
			return nil
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	fi, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, fi.Mode())
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			root := filepath.Join(e.WorkDir, "workshop")
			if err := os.CopyFS(root, os.DirFS(fixture.dir)); err != nil {
				return err
			}
			e.Cd = root
			for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
				out, err := exec.Command("go", "env", name).Output()
				if err != nil {
					return err
				}
				e.Setenv(name, strings.TrimSpace(string(out)))
			}
			e.Setenv(rootVar, root)
			e.Setenv("GOFLAGS", "-buildvcs=false")
			e.Setenv("GOPROXY", "off")
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			e.Setenv("CORACLE_BASE", e.WorkDir) // no script needs a shell of ours
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"lab": cmdLab},
	})
}

// cmdLab runs the tool: lab STATUS ARG..., where STATUS is the exit status that is wanted.
func cmdLab(ts *testscript.TestScript, _ bool, args []string) {
	want := args[0]
	err := ts.Exec(fixture.lab, args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != want {
		ts.Fatalf("lab %v: exit status %s, want %s", args[1:], got, want)
	}
}
