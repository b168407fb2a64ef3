package sandbox

import (
	"os"
	"strings"
	"testing"
)

// A Feature is something that not every machine has.
type Feature struct {
	Name string       // "id range"
	Fix  string       // the command or setting that provides it
	Has  func() error // nil where it is there; asked inside the sandbox
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
