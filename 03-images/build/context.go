package build

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// OpenContext opens the folder that COPY copies from. What its .dockerignore names
// stays behind; a file DOCKERFILE.dockerignore beside the Dockerfile counts instead
// (docs.docker.com, "Build context"). Of whoever owns the files nothing is taken
// over: what is copied is root's.
func OpenContext(dir, dockerfile string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the context: %w", err)
	}
	t := &Tree{root: root}
	if err := t.readIgnore(dockerfile); err != nil {
		root.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tree) readIgnore(dockerfile string) error {
	name := dockerfile + ".dockerignore"
	text, err := os.ReadFile(name)
	if dockerfile == "" || errors.Is(err, fs.ErrNotExist) {
		name = filepath.Join(t.root.Name(), ".dockerignore")
		text, err = t.root.ReadFile(".dockerignore")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, unwrapPath(err))
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err == nil && len(patterns) > 0 {
		t.ignore, err = patternmatcher.New(patterns)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
