// Alternative: what a name means is said by one function, part by part, before its kind is looked at.
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

func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Applied, error) {
	t, err := openTree(dir, o)
	if err != nil {
		return Applied{}, fmt.Errorf("layer: %w", because(err))
	}
	defer t.Close()
	src := bound(ctx, r, t.o.MaxBytes)
	a := refApplier{tree: t, in: tar.NewReader(src)}
	for {
		h, err := a.in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Applied{}, fmt.Errorf("layer: %w", err)
		}
		if err := a.entry(h); err != nil {
			return Applied{}, refEntryError(h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, src); err != nil {
		return Applied{}, fmt.Errorf("layer: %w", err)
	}
	if err := a.hide(ctx); err != nil {
		return Applied{}, err
	}
	return t.Settle()
}

// refApplier is one Apply.
type refApplier struct {
	tree *tree
	in   *tar.Reader

	opaque, gone []string // hidden when all entries are there
}

func refEntryError(name string, err error) error {
	return fmt.Errorf("layer: %s: %w", shortName(name), because(err))
}

// entry does what one entry says, or keeps it for hide.
func (a *refApplier) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // its name is its maker's affair
		return nil
	}
	name, err := refCleanName(h.Name)
	if err != nil {
		return err
	}
	kind, target, err := refClassify(name)
	if err != nil {
		return err
	}
	switch kind {
	case refAufs:
		return nil
	case refOpaqueMark:
		a.opaque = append(a.opaque, target)
		return a.tree.remember(target)
	case refWhiteoutMark:
		a.gone = append(a.gone, target)
		return a.tree.remember(target)
	}
	if name == "." && h.Typeflag != tar.TypeDir {
		return errors.New("the layer's own folder, but no folder")
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return a.tree.Mkdir(name, h)
	case tar.TypeReg, tar.TypeGNUSparse:
		return a.tree.File(name, h, a.in)
	case tar.TypeSymlink:
		return a.tree.Symlink(name, h)
	case tar.TypeFifo:
		return a.tree.Fifo(name, h)
	case tar.TypeLink:
		old, err := refCleanName(h.Linkname)
		if err == nil {
			err = a.tree.Link(name, old)
		}
		if err != nil {
			return fmt.Errorf("a hard link to %s: %w", shortName(h.Linkname), because(err))
		}
		return nil
	case tar.TypeChar, tar.TypeBlock:
		return errors.New("a device node, which no image may hold")
	}
	return fmt.Errorf("an entry of type %q, which no image may hold", rune(h.Typeflag))
}

// hide takes away from the layers below what the whiteouts said.
func (a *refApplier) hide(ctx context.Context) error {
	slices.Sort(a.opaque) // a folder before what is in it
	slices.Sort(a.gone)
	for _, name := range a.opaque {
		if err := refHideOne(ctx, a.tree.Opaque, name); err != nil {
			return err
		}
	}
	for _, name := range a.gone {
		if err := refHideOne(ctx, a.tree.Whiteout, name); err != nil {
			return err
		}
	}
	return nil
}

func refHideOne(ctx context.Context, do func(string) error, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("layer: %w", err)
	}
	if err := do(name); err != nil {
		return refEntryError(name, err)
	}
	return nil
}

// refCleanName is a name as the tree wants it, or why it is refused.
func refCleanName(name string) (string, error) {
	if name == "" || name[0] == '/' {
		return "", errors.New("an empty or absolute name")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", errors.New(".. in its name")
		}
	}
	return path.Clean(name), nil
}

type refKind int

const (
	refOrdinary     refKind = iota
	refWhiteoutMark         // of target
	refOpaqueMark           // of target
	refAufs                 // left out
)

// refClassify says what a clean name means by itself.
func refClassify(name string) (k refKind, target string, err error) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		gone, is := strings.CutPrefix(part, whiteoutPrefix)
		if !is {
			continue
		}
		dir, last := path.Join(parts[:i]...), i == len(parts)-1
		switch {
		case part == opaqueName && last:
			return refOpaqueMark, path.Clean(dir), nil
		case strings.HasPrefix(gone, whiteoutPrefix):
			return refAufs, "", nil
		case gone == "" || gone == "." || gone == "..":
			return 0, "", errors.New("a whiteout of nothing")
		case !last:
			return 0, "", errors.New("an entry in a whiteout")
		}
		return refWhiteoutMark, path.Join(dir, gone), nil
	}
	return refOrdinary, "", nil
}
