package workshop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"coracle/internal/exercise"
)

// Replace puts other content in the place of an exercise's file and keeps what
// was there under .lab/backup, unless it was the same or the pristine stub. It
// returns the backup's path below the root, "" for none.
func (t *Tree) Replace(e exercise.Exercise, content []byte) (backup string, err error) {
	have, err := os.ReadFile(t.Path(e.File))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	stub, _ := t.Stub(e)
	if err == nil && !bytes.Equal(have, content) && !bytes.Equal(have, stub) {
		if backup, err = t.Backup(e.File, have); err != nil {
			return "", fmt.Errorf("back up %s: %w", e.File, err)
		}
	}
	if bytes.Equal(have, content) {
		return backup, nil
	}
	return backup, writeFile(t.Path(e.File), content)
}

// Backup keeps content under a folder of its own, .lab/backup/TIME/FILE, and
// returns the path below the root.
func (t *Tree) Backup(file string, content []byte) (string, error) {
	stamp := time.Now().Format("2006-01-02T15-04-05")
	for n := 1; ; n++ {
		dir := ".lab/backup/" + stamp
		if n > 1 {
			dir = fmt.Sprintf("%s.%d", dir, n)
		}
		rel := dir + "/" + file
		if _, err := os.Lstat(t.Path(rel)); errors.Is(err, os.ErrNotExist) {
			return rel, writeFile(t.Path(rel), content)
		}
	}
}
