package workshop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"coracle/internal/exercise"
)

// A Layer says which files stand for others in a build: a slash path below the
// root → an absolute path. It is what Go's -overlay takes.
type Layer map[string]string

// Reference lays the reference over these exercises.
func (t *Tree) Reference(es ...exercise.Exercise) Layer {
	l := Layer{}
	for _, e := range es {
		l[e.File] = t.Path(e.Solution())
	}
	return l
}

// Borrow lays the reference over every exercise that is not yours, save those
// that mine names. It also returns which are borrowed.
func (t *Tree) Borrow(mine ...string) (l Layer, borrowed []exercise.Exercise, err error) {
	keep := map[string]bool{}
	for _, id := range mine {
		if _, ok := exercise.Find(id); !ok {
			return nil, nil, fmt.Errorf("no exercise %s; ./lab status lists them", id)
		}
		keep[id] = true
	}
	for _, e := range exercise.All() {
		s, err := t.State(e)
		if err != nil && s != Unwritten {
			return nil, nil, err
		}
		if s != Yours && !keep[e.ID] {
			if _, err := os.Stat(t.Path(e.Solution())); err != nil {
				return nil, nil, fmt.Errorf("nothing to borrow for %s; git checkout solutions brings it back: %w", e.ID, err)
			}
			borrowed = append(borrowed, e)
		}
	}
	return t.Reference(borrowed...), borrowed, nil
}

// Pristine lays the kept stubs over all exercises, whatever the reader wrote.
func (t *Tree) Pristine() (Layer, error) {
	l := Layer{}
	for _, e := range exercise.All() {
		stub, err := t.Stub(e)
		if err != nil {
			return nil, err
		}
		if l[e.File], err = t.Keep(stub); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Keep stores content that no file of the tree holds and returns its path: the
// same for the same content, so that builds are found in Go's cache.
func (t *Tree) Keep(content []byte) (string, error) {
	path := t.Path(".lab/cache/" + hash(content)[:16] + ".go")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, writeFile(path, content)
}

// With returns a layer with the files of over laid over those of l.
func (l Layer) With(over Layer) Layer {
	sum := Layer{}
	for _, m := range []Layer{l, over} {
		for k, v := range m {
			sum[k] = v
		}
	}
	return sum
}

// Write stores the layer for `go -overlay` and returns the file's path, "" for
// an empty layer.
func (t *Tree) Write(l Layer) (string, error) {
	if len(l) == 0 {
		return "", nil
	}
	abs := make(map[string]string, len(l))
	for rel, file := range l {
		abs[t.Path(rel)] = file
	}
	data, err := json.Marshal(map[string]any{"Replace": abs})
	if err != nil {
		return "", err
	}
	path := t.Path(".lab/cache/overlay-" + hash(data)[:16] + ".json")
	return path, writeFile(path, data)
}

// StubsFile and OverlayFile are generated from the table and the tree (Generate).
const (
	StubsFile   = "solutions/stubs.txtar"
	OverlayFile = "solutions/overlay.json"
)

// solutionsOverlay is solutions/overlay.json: relative paths, for `go test` from the root.
func solutionsOverlay(table []exercise.Exercise) []byte {
	replace := map[string]string{}
	for _, e := range table {
		replace[filepath.ToSlash(e.File)] = e.Solution()
	}
	data, _ := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	return append(data, '\n')
}
