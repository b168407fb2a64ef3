package box_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"

	"coracle/internal/box"
)

// TestMain lets the test binary be every applet, by links on PATH as in the
// base image.
func TestMain(m *testing.M) {
	commands := map[string]func(){"box": func() { box.Main(os.Args) }}
	for _, name := range box.Names() {
		commands[name] = commands["box"]
	}
	testscript.Main(m, commands)
}

func TestApplets(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Deadline: time.Now().Add(30 * time.Second)})
}

func TestNames_AreSortedForTheSearch(t *testing.T) {
	assert.True(t, slices.IsSorted(box.Names()))
}
