package workshop

import (
	"bytes"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/txtar"

	"coracle/internal/exercise"
)

// Generated returns what the generated files must hold: solutions/overlay.json
// from the table, solutions/stubs.txtar from the exercises that still bear their
// mark and, for those that do not, from the archive as it is.
func (t *Tree) Generated() (map[string][]byte, error) { return t.GeneratedFor(exercise.All()) }

// GeneratedFor is Generated over another table.
func (t *Tree) GeneratedFor(table []exercise.Exercise) (map[string][]byte, error) {
	stubs := &txtar.Archive{Comment: []byte("The pristine stubs. Generated from the exercises' files; do not edit.\n\n")}
	for _, e := range table {
		src, err := os.ReadFile(t.Path(e.File))
		if err != nil || !HasMark(src, e.ID) {
			if src, err = t.Stub(e); err != nil {
				return nil, fmt.Errorf("%s bears no mark and has no stub: %w", e.File, err)
			}
		}
		stubs.Files = append(stubs.Files, txtar.File{Name: e.File, Data: src})
	}
	return map[string][]byte{OverlayFile: solutionsOverlay(table), StubsFile: txtar.Format(stubs)}, nil
}

// Generate writes the generated files. It is for the workshop's makers: in a
// reader's checkout an edited stub would become the pristine one.
func (t *Tree) Generate() (changed []string, err error) {
	files, err := t.Generated()
	if err != nil {
		return nil, err
	}
	for rel, want := range files {
		if have, err := os.ReadFile(t.Path(rel)); err == nil && bytes.Equal(have, want) {
			continue
		}
		if err := writeFile(t.Path(rel), want); err != nil {
			return changed, err
		}
		changed = append(changed, rel)
	}
	return changed, nil
}
