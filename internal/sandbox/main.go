package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"coracle/internal/exercise"
)

// Options are what a chapter's tests add to the sandbox.
type Options struct {
	Dir    string // the package's folder below the module root, for the closing line
	Reexec func() // runs and never returns if this process is a re-executed child of the chapter's own code; may be nil
	Cgroup bool   // give the tests a group of their own, delegated to them
	// Writable folders stay writable inside: a build cache, never what a reader's code works on.
	Writable []string
}

const (
	stageVar = "CORACLE_SANDBOX" // "", "init", "test", or "none: why"
	modeVar  = "CORACLE_SANDBOX_MODE"
	keepVar  = "CORACLE_SANDBOX_WRITABLE"
)

// Main runs the tests in a sandbox and returns the exit status for os.Exit.
// Where no sandbox can be made, the tests run all the same and those that need
// the kernel are skipped (Need).
func Main(m *testing.M, o Options) int {
	if o.Reexec != nil {
		o.Reexec()
	}
	switch stage := os.Getenv(stageVar); {
	case stage == "init":
		runtime.LockOSThread()
		if err := asInit(); err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			return 125
		}
		return reap("/proc/self/exe")
	case stage == "" && !wanted():
		return m.Run()
	case stage == "":
		code, err := outer(o)
		if err == nil {
			return code
		}
		os.Setenv(stageVar, "none: "+err.Error())
		fmt.Fprintln(os.Stderr, "sandbox:", err)
	}
	code := m.Run()
	exercise.Summary(os.Stdout, o.Dir)
	return code
}

// wanted is false for a run that only lists or compares.
func wanted() bool {
	for _, a := range os.Args[1:] {
		if len(a) >= 10 && a[:10] == "-test.list" {
			return false
		}
	}
	return true
}

// outputDirs are the folders that `go test` told the binary to write into, and
// Options.Writable.
func outputDirs() []string {
	dirs := filepath.SplitList(os.Getenv(keepVar))
	for _, a := range os.Args[1:] {
		i := 0
		for i < len(a) && a[i] != '=' {
			i++
		}
		if i == len(a) || len(a) < 6 || a[:6] != "-test." || !filepath.IsAbs(a[i+1:]) {
			continue
		}
		p := a[i+1:]
		if fi, err := os.Stat(p); err != nil || !fi.IsDir() {
			p = filepath.Dir(p)
		}
		if fi, err := os.Stat(p); err == nil && fi.IsDir() {
			dirs = append(dirs, p)
		}
	}
	return dirs
}
