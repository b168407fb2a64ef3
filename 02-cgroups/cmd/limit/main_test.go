package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name, and the commands that it
// runs: what is tested is what was built, over whatever overlay.
func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "02-cgroups/cmd/limit", Cgroup: true, Reexec: func() {
		if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "test:") {
			commands[os.Args[1][5:]](os.Args[2])
			os.Exit(0)
		}
		if os.Args[0] == "limit" || os.Args[0] == "coracle-gate" {
			main()
		}
	}}))
}

// need skips the test while an exercise of the chapter is unwritten, and where
// limit cannot work.
func need(t testing.TB, features ...sandbox.Feature) {
	t.Helper()
	for _, e := range exercise.Of(2) {
		if !exercise.Written(e.ID) {
			t.Skipf("exercise %s (%s) is not written yet: open %s, read %s", e.ID, e.Title, e.File, e.Page())
		}
	}
	sandbox.Need(t, features...)
}

// program is limit with these flags, and one of the commands above with its argument.
func program(flags []string, command ...string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	cmd = exec.Command("/proc/self/exe", flags...)
	if len(command) > 0 {
		cmd.Args = append(cmd.Args, "--", "/proc/self/exe", "test:"+command[0], command[1])
	}
	cmd.Args[0] = "limit"
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, errs
	// A command that outlives limit must not hold the test up.
	cmd.WaitDelay = check.Deadline
	return cmd, out, errs
}

func limited(t *testing.T, flags []string, command ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd, out, errs := program(flags, command...)
	did := "limit " + strings.Join(cmd.Args[1:], " ")
	_, err := check.Within(t, did, "it to end", func() (int, error) { return 0, cmd.Run() })
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		check.NoError(t, did, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// groups lists what limit left in any hierarchy.
func groups(t *testing.T) string {
	t.Helper()
	var left []string
	filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "coracle-limit-") {
			left = append(left, p)
		}
		return nil
	})
	return strings.Join(left, " ")
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ") && !strings.Contains(string(b), ") X ")
}

// limits is what limit needs: a group and the controllers, of either version.
var limits = sandbox.Feature{
	Name: "memory, cpu and pids controllers of its own", Fix: "./lab vm test 2, or root",
	Has: func() error {
		if err := sandbox.OwnGroup.Has(); err != nil {
			return err
		}
		for _, c := range []string{"memory", "cpu", "pids"} {
			if err := sandbox.Controller(c).Has(); err != nil && unix.Access("/sys/fs/cgroup/"+c, unix.W_OK) != nil {
				return err
			}
		}
		return nil
	},
}
