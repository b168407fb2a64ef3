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

// Apply unpacks one layer, a plain tar, into dir, which is empty (or, o.Plain,
// holds the layers below). It reads r to its end, also past the archive's: whoever
// calls computes the digest of all of it.
//
//   - A name may begin with "./" and end in a slash. One that is empty or absolute,
//     or has a .. in it, is refused; so is such a target of a hard link.
//   - .wh.NAME takes NAME out of the layers below, .wh..wh..opq all that they have in
//     its folder. They are about the layers below only, wherever in the tar they
//     stand: what this layer brings is there afterwards.
//   - A whiteout of nothing (.wh., .wh.., .wh...) or a file in one is refused; other
//     names that begin with .wh..wh. are something of aufs and left out.
//   - Files, folders, symbolic and hard links and fifos are made. A global header
//     says nothing about files. All else, device nodes above all, is refused.
//   - A folder's mode and time come last: each file that is put into it changes them.
//
// Applied has the folders that no entry named, and what was made.
//
// Errors: one line, `layer: "NAME": …`, for an entry; ErrTooLarge; what reading r
// fails with; io.ErrUnexpectedEOF or tar.ErrHeader if it is no tar; ctx.Err().
// May use: openTree and its methods (which refuse a second entry of a name, and
// lead nowhere outside), bound, shortName, because. Rules: image-spec, layer.md.
func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Applied, error) {
	t, err := openTree(dir, o)
	if err != nil {
		return Applied{}, fmt.Errorf("layer: %w", err)
	}
	defer t.Close()
	a := refLayer{tree: t}
	in := bound(ctx, r, t.o.MaxBytes)
	for archive := tar.NewReader(in); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Applied{}, fmt.Errorf("layer, after %d entries: %w", t.applied.Entries, err)
		}
		if err := a.entry(h, archive); err != nil {
			return Applied{}, fmt.Errorf("layer: %s: %w", shortName(h.Name), because(err))
		}
	}
	// What follows the archive's end belongs to the diff ID all the same.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return Applied{}, fmt.Errorf("layer, after its last entry: %w", err)
	}
	return a.finish()
}

// refLayer is a layer on its way. What it takes away waits until all it brings is
// there: a whiteout is about the layers below, wherever it stands.
type refLayer struct {
	*tree
	whiteouts, opaques []string
}

func (a *refLayer) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := refClean(h.Name)
	if err != nil {
		return err
	}
	dir, base := path.Split(name)
	switch {
	case base == opaqueName:
		a.opaques = append(a.opaques, path.Clean(dir))
		return a.remember(name)
	case strings.Contains("/"+name, "/"+whiteoutPrefix+whiteoutPrefix):
		return nil // aufs kept its own things under such names
	case strings.Contains("/"+dir, "/"+whiteoutPrefix):
		return errors.New("a file in a whiteout")
	case strings.HasPrefix(base, whiteoutPrefix):
		gone := strings.TrimPrefix(base, whiteoutPrefix)
		if gone == "" || gone == "." || gone == ".." {
			return errors.New("a whiteout of nothing")
		}
		a.whiteouts = append(a.whiteouts, path.Join(dir, gone))
		return a.remember(name)
	case name == "." && h.Typeflag != tar.TypeDir:
		return errors.New("the layer's own folder as a file")
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return a.Mkdir(name, h)
	case tar.TypeReg, tar.TypeGNUSparse:
		return a.File(name, h, content)
	case tar.TypeSymlink:
		return a.Symlink(name, h)
	case tar.TypeFifo:
		return a.Fifo(name, h)
	case tar.TypeLink:
		old, err := refClean(h.Linkname)
		if err != nil {
			return fmt.Errorf("a hard link to %s: %w", shortName(h.Linkname), err)
		}
		if err := a.Link(name, old); err != nil {
			return fmt.Errorf("a hard link to %s: %w", shortName(h.Linkname), because(err))
		}
		return nil
	case tar.TypeChar, tar.TypeBlock:
		return errors.New("a device node, which no image may hold")
	}
	return fmt.Errorf("an entry of type %q, which no image may hold", h.Typeflag)
}

func (a *refLayer) finish() (Applied, error) {
	for _, name := range a.opaques {
		if err := a.Opaque(name); err != nil {
			return Applied{}, fmt.Errorf("layer: the opaque folder %s: %w", shortName(name), because(err))
		}
	}
	slices.Sort(a.whiteouts) // a folder before what was in it, of which it hides all
	for _, name := range a.whiteouts {
		if err := a.Whiteout(name); err != nil {
			return Applied{}, fmt.Errorf("layer: the whiteout of %s: %w", shortName(name), because(err))
		}
	}
	return a.Settle()
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
