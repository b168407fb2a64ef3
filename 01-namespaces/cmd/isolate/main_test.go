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

	namespaces "coracle/01-namespaces"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/peer"
	"coracle/internal/sandbox"
)

// The test binary is the program too, by another name: what is tested is what
// was built, over whatever overlay.
func TestMain(m *testing.M) {
	namespaces.Reexec()
	if os.Args[0] == "isolate" {
		main()
	}
	if peer.Benchmarking() {
		os.Exit(m.Run())
	}
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "01-namespaces"}))
}

// needAll skips the test while an exercise of the chapter is unwritten.
func needAll(t testing.TB) {
	t.Helper()
	exercise.NeedAll(t)
	sandbox.Need(t)
}

// command is isolate with these arguments.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "isolate"
	return cmd
}

// run runs isolate to its end.
func isolated(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("typed\n"), &out, &errs
	_, err := check.Within(t, "isolate "+strings.Join(args, " "), "it to end", func() (struct{}, error) {
		return struct{}{}, cmd.Run()
	})
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		check.NoError(t, "run isolate", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// hostRoot makes a root that holds the host's programs and nothing else of it,
// and returns the flags for it.
func hostRoot(t testing.TB) (dir string, flags []string) {
	t.Helper()
	dir = t.TempDir()
	flags = []string{"--root", dir, "--writable"}
	for _, d := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr"} {
		if to, err := os.Readlink(d); err == nil { // as /bin is where /usr is merged
			check.NoError(t, "link "+d, os.Symlink(to, filepath.Join(dir, d)))
		} else if _, err := os.Stat(d); err == nil {
			flags = append(flags, "--bind", d+":"+d+":ro")
		}
	}
	for _, d := range []string{"tmp", "etc", "root"} {
		check.NoError(t, "make a folder", os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	return dir, flags
}

// sh is isolate with a shell of the host.
func sh(flags []string, script string) []string {
	return append(append([]string{}, flags...), "--", "/bin/sh", "-c", script)
}

// left describes what a run may leave behind: this process's mounts and all
// processes.
func left(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check.NoError(t, "read mountinfo", err)
	var procs []string
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	check.NoError(t, "list processes", err)
	for _, file := range stats {
		stat, _ := os.ReadFile(file)
		name, _, _ := strings.Cut(string(stat), ") ")
		procs = append(procs, name+")")
	}
	return fmt.Sprintf("%s%v", mounts, procs)
}
