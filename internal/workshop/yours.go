package workshop

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coracle/internal/exercise"
)

const yoursFile = ".lab/yours.json" // exercise → sha256 of the content that passed

func hash(src []byte) string { return fmt.Sprintf("%x", sha256.Sum256(src)) }

func (t *Tree) yours() (map[string]string, error) {
	data, err := os.ReadFile(t.Path(yoursFile))
	if errors.Is(err, os.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	yours := map[string]string{}
	if err := json.Unmarshal(data, &yours); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): delete it, then ./lab test brings it back", yoursFile, err)
	}
	return yours, nil
}

// Remember notes that the tests passed (or no longer pass) on the content that
// was tested; src is what the test saw, not what is on disk by now.
func (t *Tree) Remember(e exercise.Exercise, src []byte, passed bool) error {
	return t.locked(func() error {
		yours, err := t.yours()
		if err != nil {
			return err
		}
		switch {
		case passed:
			yours[e.ID] = hash(src)
		case yours[e.ID] == hash(src):
			delete(yours, e.ID)
		default:
			return nil
		}
		data, err := json.MarshalIndent(yours, "", "  ")
		if err != nil {
			return err
		}
		return writeFile(t.Path(yoursFile), append(data, '\n'))
	})
}

// writeFile replaces a file in one step, so that a reader never sees half of it.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return notes(err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return notes(err)
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
