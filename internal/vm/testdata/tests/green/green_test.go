// Package green is run inside the machine by the tests of package vm.
package green

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// It looks around as any test may: its directory, testdata, go.mod above, and whose process it is.
func TestGreen(t *testing.T) {
	text, err := os.ReadFile("testdata/word")
	if err != nil || string(text) != "hello\n" {
		t.Fatalf("testdata/word: %q, %v", text, err)
	}
	if _, err := os.Stat("../../../../../go.mod"); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if _, file, _, _ := runtime.Caller(0); err != nil || filepath.Dir(file) != dir {
		t.Fatalf("working directory %s (%v), compiled in %s", dir, err, filepath.Dir(file))
	}
	if err := exec.Command("sh", "-c", "test -x $CORACLE_BASE/bin/sh").Run(); err != nil {
		t.Fatal("the base root file system: ", err)
	}
	t.Log("uid", os.Getuid())
}

func TestSkipped(t *testing.T) { t.Skip("as ever") }
