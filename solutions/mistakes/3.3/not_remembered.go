// Mistake: what is taken away is kept in memory without asking remember
package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Apply unpacks one layer, a plain tar, into dir.
func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Applied, error) {
	t, err := openTree(dir, o)
	if err != nil {
		return Applied{}, fmt.Errorf("layer: %w", err)
	}
	defer t.Close()
	l := refLayer{tree: t}
	in := bound(ctx, r, t.o.MaxBytes)
	for archive := tar.NewReader(in); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Applied{}, fmt.Errorf("layer, after %d entries: %w", t.applied.Entries, err)
		}
		if err := l.entry(h, archive); err != nil {
			return Applied{}, fmt.Errorf("layer: %s: %w", shortName(h.Name), because(err))
		}
	}
	// What follows the archive's end belongs to the diff ID all the same.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return Applied{}, fmt.Errorf("layer, after its last entry: %w", err)
	}
	slices.Sort(l.whiteouts) // a folder before what was in it, of which it hides all
	for _, name := range l.opaques {
		if err := t.Opaque(name); err != nil {
			return Applied{}, fmt.Errorf("layer: %s as an opaque folder: %w", shortName(name), because(err))
		}
	}
	for _, name := range l.whiteouts {
		if err := t.Whiteout(name); err != nil {
			return Applied{}, fmt.Errorf("layer: %s as a whiteout: %w", shortName(name), because(err))
		}
	}
	return t.Settle()
}

// refLayer is a layer on its way. What it takes away waits until all it brings is
// there: a whiteout is about the layers below, wherever it stands.
type refLayer struct {
	*tree
	opaques, whiteouts []string
}

func (l *refLayer) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := refClean(h.Name)
	if err != nil {
		return err
	}
	// The first part that begins with .wh. decides.
	if i := strings.Index("/"+name, "/"+whiteoutPrefix); i >= 0 {
		return l.takeAway(name[:i], name[i:])
	}
	if name == "." && h.Typeflag != tar.TypeDir {
		return errors.New("the layer's own folder as a file")
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return l.Mkdir(name, h)
	case tar.TypeReg, tar.TypeGNUSparse:
		return l.File(name, h, content)
	case tar.TypeSymlink:
		return l.Symlink(name, h)
	case tar.TypeFifo:
		return l.Fifo(name, h)
	case tar.TypeLink:
		old, err := refClean(h.Linkname)
		if err == nil {
			err = l.Link(name, old)
		}
		if err != nil {
			return fmt.Errorf("a hard link to %s: %w", shortName(h.Linkname), because(err))
		}
		return nil
	case tar.TypeChar, tar.TypeBlock:
		return errors.New("a device node, which no image may hold")
	}
	return fmt.Errorf("an entry of type %q, which no image may hold", h.Typeflag)
}

// takeAway remembers what is gone from dir: mark is a name that begins with .wh., and
// all that follows it.
func (l *refLayer) takeAway(dir, mark string) error {
	gone := strings.TrimPrefix(mark, whiteoutPrefix)
	switch {
	case mark == opaqueName:
		l.opaques = append(l.opaques, path.Clean(dir))
		return nil
	case strings.HasPrefix(gone, whiteoutPrefix):
		return nil // aufs kept its own things under such names
	case strings.Contains(gone, "/"):
		return errors.New("a file in a whiteout")
	case gone == "" || gone == "." || gone == "..":
		return errors.New("a whiteout of nothing")
	}
	l.whiteouts = append(l.whiteouts, dir+gone)
	return nil
}

// refClean refuses names that lead out of the tree, and cleans the others.
func refClean(name string) (string, error) {
	if name == "" || name[0] == '/' {
		return "", errors.New("an empty or absolute name")
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New(".. in its name")
	}
	return path.Clean(name), nil
}
