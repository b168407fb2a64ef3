// Alternative: a table of what each kind becomes, names checked part by part, one list of what is gone.
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

func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (a Applied, err error) {
	defer func() {
		if err != nil {
			a, err = Applied{}, fmt.Errorf("layer: %w", err)
		}
	}()
	t, err := openTree(dir, o)
	if err != nil {
		return a, err
	}
	defer t.Close()
	limited := bound(ctx, r, t.o.MaxBytes)
	archive := tar.NewReader(limited)
	kinds := map[byte]func(name string, h *tar.Header) error{
		tar.TypeDir:       t.Mkdir,
		tar.TypeReg:       func(name string, h *tar.Header) error { return t.File(name, h, archive) },
		tar.TypeGNUSparse: func(name string, h *tar.Header) error { return t.File(name, h, archive) },
		tar.TypeSymlink:   t.Symlink,
		tar.TypeFifo:      t.Fifo,
		tar.TypeLink: func(name string, h *tar.Header) error {
			old, err := refParts(h.Linkname)
			if err == nil {
				err = t.Link(name, path.Join(old...))
			}
			if err != nil {
				return fmt.Errorf("a hard link to %s: %w", shortName(h.Linkname), because(err))
			}
			return nil
		},
		tar.TypeChar:  func(string, *tar.Header) error { return errors.New("a device") },
		tar.TypeBlock: func(string, *tar.Header) error { return errors.New("a device") },
	}
	type going struct {
		name   string
		opaque bool
	}
	var gone []going
	named := func(name string, err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s: %w", shortName(name), because(err))
	}
	one := func(h *tar.Header) error {
		parts, err := refParts(h.Name)
		if err != nil {
			return err
		}
		name := path.Join(append([]string{"."}, parts...)...)
		for i, part := range parts {
			switch last := i == len(parts)-1; {
			case !strings.HasPrefix(part, ".wh."):
			case part == opaqueName && last:
				gone = append(gone, going{path.Dir(name), true})
				return t.remember(name)
			case strings.HasPrefix(part, ".wh..wh."):
				return nil
			case !last || part == ".wh." || part == ".wh.." || part == ".wh...":
				return errors.New("a whiteout of nothing, or a file in one")
			default:
				gone = append(gone, going{path.Join(path.Dir(name), part[4:]), false})
				return t.remember(name)
			}
		}
		f := kinds[h.Typeflag]
		if f == nil || len(parts) == 0 && h.Typeflag != tar.TypeDir {
			return fmt.Errorf("type %q, which cannot be here", h.Typeflag)
		}
		return f(name, h)
	}
	h, err := archive.Next()
	for ; err == nil; h, err = archive.Next() {
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := named(h.Name, one(h)); err != nil {
			return a, err
		}
	}
	if err != io.EOF {
		return a, err
	}
	for rest := make([]byte, 4096); ; {
		_, err := limited.Read(rest)
		if err == io.EOF {
			break
		}
		if err != nil {
			return a, err
		}
	}
	slices.SortFunc(gone, func(x, y going) int {
		if x.opaque != y.opaque {
			if x.opaque {
				return -1
			}
			return 1
		}
		return strings.Count(x.name, "/") - strings.Count(y.name, "/")
	})
	for _, g := range gone {
		hide := t.Whiteout
		if g.opaque {
			hide = t.Opaque
		}
		if err := named(g.name, hide(g.name)); err != nil {
			return a, err
		}
	}
	return t.Settle()
}

func refParts(name string) (parts []string, err error) {
	if name == "" || strings.HasPrefix(name, "/") {
		return nil, errors.New("an empty or absolute name")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return nil, errors.New(".. in its name")
		default:
			parts = append(parts, part)
		}
	}
	return parts, nil
}
