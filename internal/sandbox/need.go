package sandbox

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Feature is something that not every machine has.
type Feature struct {
	Name string       // "id range"
	Fix  string       // the command or setting that provides it
	Has  func() error // nil where it is there; asked inside the sandbox
}

// GainsPrivileges is there unless the whole session runs under no_new_privs, which
// nothing below it can take off (prctl(2)).
var GainsPrivileges = Feature{
	Name: "a session without no_new_privs", Fix: "a container without --security-opt no-new-privileges",
	Has: func() error {
		if held, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || held == 1 {
			return errors.Join(errors.New("it is set"), err)
		}
		return nil
	},
}

// Cannot begins every skip that is the machine's fault; grading tells by it.
const Cannot = "machine cannot: "

// Need skips the test unless it runs in a sandbox that has these features.
func Need(t testing.TB, features ...Feature) {
	t.Helper()
	if stage := os.Getenv(stageVar); stage != "test" {
		_, why, _ := strings.Cut(stage, ": ")
		t.Skipf("%ssandbox: %s; ./lab doctor says how to allow it", Cannot, why)
	}
	for _, f := range features {
		if err := f.Has(); err != nil {
			t.Skipf("%s%s: %v; provide it with: %s", Cannot, f.Name, err, f.Fix)
		}
	}
}

// CurrentMode returns how ids are mapped in this sandbox.
func CurrentMode() Mode { return Mode(os.Getenv(modeVar)) }
