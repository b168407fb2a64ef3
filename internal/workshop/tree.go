package workshop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"coracle/internal/exercise"
)

// A Tree is one checkout of the workshop.
type Tree struct{ Root string } // absolute

// Find returns the checkout that dir is in.
func Find(dir string) (*Tree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for d := abs; ; d = filepath.Dir(d) {
		if mod, err := os.ReadFile(filepath.Join(d, "go.mod")); err == nil && strings.HasPrefix(string(mod), "module coracle\n") {
			return &Tree{d}, nil
		}
		if d == filepath.Dir(d) {
			return nil, fmt.Errorf("%s is not inside a coracle checkout (no go.mod of module coracle above it)", abs)
		}
	}
}

// Path returns the absolute path of a slash path below the root.
func (t *Tree) Path(rel string) string { return filepath.Join(t.Root, filepath.FromSlash(rel)) }

// State is how far an exercise is.
type State string

const (
	Unwritten  State = "unwritten"
	Marked     State = "edited, but still marked" // work that no test will look at
	InProgress State = "in progress"
	Yours      State = "yours"
)

// HasMark says whether a file bears the mark of an exercise.
func HasMark(src []byte, id string) bool {
	for line := range strings.Lines(string(src)) {
		line, _, _ = strings.Cut(line, "//")
		if strings.ReplaceAll(strings.TrimSpace(line), " ", "") == `var_=todo("`+id+`")` {
			return true
		}
	}
	return false
}

// State reads the exercise's file and says how far it is.
func (t *Tree) State(e exercise.Exercise) (State, error) {
	src, err := os.ReadFile(t.Path(e.File))
	if errors.Is(err, os.ErrNotExist) {
		return Unwritten, fmt.Errorf("%s is gone; bring the stub back with ./lab reset %s", e.File, e.ID)
	}
	if err != nil {
		return Unwritten, err
	}
	if HasMark(src, e.ID) {
		if stub, err := t.Stub(e); err == nil && string(stub) != string(src) {
			return Marked, nil
		}
		return Unwritten, nil
	}
	yours, err := t.yours()
	if err != nil {
		return InProgress, err
	}
	if yours[e.ID] == hash(src) {
		return Yours, nil
	}
	return InProgress, nil
}

// Stub returns the pristine stub of an exercise.
func (t *Tree) Stub(e exercise.Exercise) ([]byte, error) {
	a, err := txtar.ParseFile(t.Path(StubsFile))
	if err != nil {
		return nil, err
	}
	for _, f := range a.Files {
		if f.Name == e.File {
			return f.Data, nil
		}
	}
	return nil, fmt.Errorf("%s has no stub of %s", StubsFile, e.File)
}
