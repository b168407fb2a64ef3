package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/moby/patternmatcher"

	images "coracle/03-images"
)

// A Tree is what a COPY takes files from: the context, or the files of another
// stage or image. Nothing outside it is read, whatever its links say (os.Root).
type Tree struct {
	root   *os.Root
	ignore *patternmatcher.PatternMatcher // what is left out; nil: nothing
	guest  bool                           // files of an image: a link in it that leads above / leads to /
	owners images.Owners                  // of an image: how owners are kept
}

// An Entry is one file, folder or link below a source.
type Entry struct {
	Path     string // below the source if that is a folder, else its own name
	Mode     fs.FileMode
	UID, GID int
	Xattrs   map[string]string
	Link     string // where a symbolic link leads
	name     string // below the tree
}

// A Source is what one word of a COPY names.
type Source struct {
	Name string // its last part: what a file is called where it arrives
	Dir  bool   // of a folder, what is in it is copied
	at   string // below the tree, without links
}

// ImageTree is the files of an image, mounted at dir.
func ImageTree(dir string, owners images.Owners) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{root: root, guest: true, owners: owners}, nil
}

// Close closes it.
func (t *Tree) Close() error { return t.root.Close() }

// Find returns what a path or a glob names, sorted. A link is followed.
//
// Errors: a path that leads out of the context or is left out by .dockerignore,
// one that is not there. A glob that matches nothing is no error.
func (t *Tree) Find(pattern string) ([]Source, error) {
	clean := path.Clean(pattern)
	if t.guest || path.IsAbs(pattern) {
		clean = path.Clean("/" + pattern)[1:]
	}
	if clean == "" {
		clean = "."
	}
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return nil, fmt.Errorf("%s: it is outside the context", pattern)
	}
	names, glob := []string{clean}, strings.ContainsAny(clean, `*?[\`)
	if glob {
		var err error
		if names, err = fs.Glob(t.root.FS(), clean); err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
	}
	var found []Source
	for _, name := range names {
		src, left, err := t.source(name)
		if errors.Is(err, errEscapes) {
			return nil, fmt.Errorf("%s: a link leads out of the context", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, unwrapPath(err))
		}
		if left && !glob {
			return nil, fmt.Errorf("%s: .dockerignore leaves it out", name)
		}
		if !left {
			found = append(found, src)
		}
	}
	return found, nil
}

// source follows the links of a name. left says that it is left out, and all below it.
func (t *Tree) source(name string) (src Source, left bool, err error) {
	at, err := resolve(t.root, name, t.guest)
	if err != nil {
		return src, false, err
	}
	fi, err := t.root.Lstat(at)
	if err != nil {
		return src, false, err
	}
	for _, n := range []string{name, at} {
		out, err := t.left(n)
		if err != nil {
			return src, false, err
		}
		left = left || out && !(fi.IsDir() && t.ignore.Exclusions())
	}
	return Source{Name: path.Base(name), Dir: fi.IsDir(), at: at}, left, nil
}

// left says whether .dockerignore leaves a name out.
func (t *Tree) left(name string) (bool, error) {
	if t.ignore == nil || name == "." {
		return false, nil
	}
	return t.ignore.MatchesOrParentMatches(name)
}

// unwrapPath is the error without the path, which the message has already.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
