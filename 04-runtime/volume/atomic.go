package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The kubelet's atomic writer (pkg/volume/util/atomic_writer.go). What a container sees
// as VOLUME/a/b is a file three links away, and one rename changes them all:
//
//	VOLUME/a → ..data/a      VOLUME/..data → ..2026_01_02_15_04_05.123/      a/b
//
// Whoever writes ends anywhere: either ..data is the old state or the new one, and what
// the links above still lack or have too much is put right by the next write.

const dataLink = "..data"

// writeAtomically makes the volume's files those of the payload. set is called with the
// new folder before it is seen. What is as it should be is not written again.
func writeAtomically(dir string, files payload, set func(dir string) error) error {
	clean := payload{}
	for name, f := range files {
		path, err := cleanPath(name)
		if err != nil {
			return err
		}
		clean[path] = f
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	current := old
	if old == "" || !same(filepath.Join(dir, old), clean) {
		if current, err = writeState(dir, clean, set); err != nil {
			return err
		}
		// rename(2) over a link is one step; there is no moment without ..data.
		next := filepath.Join(dir, dataLink+"_tmp")
		os.Remove(next)
		if err := os.Symlink(current, next); err != nil {
			return err
		}
		if err := os.Rename(next, filepath.Join(dir, dataLink)); err != nil {
			return err
		}
	}
	return tidy(dir, current, clean)
}

// writeState writes a new folder with all files in it and returns its name.
func writeState(dir string, files payload, set func(string) error) (string, error) {
	state, err := os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return "", err
	}
	err = os.Chmod(state, 0o755)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err != nil {
			break
		}
		err = writeFile(filepath.Join(state, path), files[path])
	}
	if err == nil {
		err = set(state)
	}
	if err != nil {
		os.RemoveAll(state)
		return "", err
	}
	return filepath.Base(state), nil
}

func writeFile(path string, f file) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(f.mode & 0o777)
	if err := os.WriteFile(path, f.data, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the umask is
}

// same says whether a folder holds these files and no others. Modes are not compared:
// fsGroup has changed them.
func same(state string, files payload) bool {
	n := 0
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(state, path)
		if err != nil {
			return err
		}
		n++
		want, ok := files[rel]
		have, err := os.ReadFile(path)
		if err == nil && (!ok || !bytes.Equal(have, want.data)) {
			err = fs.ErrExist
		}
		return err
	})
	return err == nil && n == len(files)
}

// tidy links what is to be seen, removes links to what is no more, and all states but
// the current one: those of writers that did not come to their end too.
func tidy(dir, current string, files payload) error {
	shown := map[string]bool{}
	for path := range files {
		first, _, _ := strings.Cut(path, "/")
		shown[first] = true
	}
	for name := range shown {
		err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == dataLink || name == current || shown[name] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// cleanPath is a path that is inside the volume and none of the writer's own names.
func cleanPath(name string) (string, error) {
	path := filepath.Clean(name)
	switch {
	case name == "" || filepath.IsAbs(name) || len(path) > 4096 || path == ".":
		return "", fmt.Errorf("invalid path: %q: must be a relative path of at most 4096 bytes", name)
	case slices.Contains(strings.Split(name, "/"), ".."), strings.HasPrefix(path, ".."):
		return "", fmt.Errorf("invalid path: %q: must not contain or begin with '..'", name)
	}
	return path, nil
}
