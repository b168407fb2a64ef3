// Mistake: names of users and groups are the machine's: the layer tells where it was made
package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Diff writes the upper folder of an overlay as a layer, a plain tar.
func Diff(ctx context.Context, upper string, w io.Writer, o DiffOptions) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	defer root.Close()
	d := refDiff{ctx, root, o, tar.NewWriter(w), map[uint64]*tar.Header{}}
	if err = d.visit("."); err == nil {
		err = d.out.Close()
	}
	if err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	return nil
}

type refDiff struct {
	ctx   context.Context
	root  *os.Root
	o     DiffOptions
	out   *tar.Writer
	names map[uint64]*tar.Header // of files with several names, by inode: the first
}

// visit ships a name, and if it is a folder then what is in it, in lexical order,
// which no file system's own is.
func (d *refDiff) visit(name string) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	fi, err := d.root.Lstat(name)
	if err == nil {
		err = d.entry(name, fi, fi.Sys().(*syscall.Stat_t))
	}
	var names []string
	if err == nil && fi.IsDir() {
		names, err = readNames(d.root, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", shortName(name), because(err))
	}
	slices.Sort(names)
	for _, base := range names {
		if err := d.visit(path.Join(name, base)); err != nil {
			return err
		}
	}
	return nil
}

func (d *refDiff) entry(name string, fi fs.FileInfo, st *syscall.Stat_t) error {
	dir, base := path.Split(name)
	kind := fi.Mode().Type()
	switch {
	case kind == fs.ModeDevice|fs.ModeCharDevice && st.Rdev == 0:
		return d.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: dir + whiteoutPrefix + base})
	case strings.HasPrefix(base, whiteoutPrefix):
		return fmt.Errorf("no layer can hold a file called %s…", whiteoutPrefix)
	case kind == fs.ModeSocket: // nothing without the process that made it
		return nil
	}
	h, err := tar.FileInfoHeader(fi, "")
	if err != nil {
		return err
	}
	h.Typeflag, h.Name, h.Mode, h.Size, h.Format = tar.TypeReg, name, int64(st.Mode&0o7777), 0, tar.FormatPAX
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	h.Uid, h.Gid = ownerOf(st, d.o.Owners)
	if !d.o.Epoch.IsZero() && h.ModTime.After(d.o.Epoch) {
		h.ModTime = d.o.Epoch
	}
	h.ModTime = h.ModTime.Truncate(time.Second)
	if !fi.IsDir() && st.Nlink > 1 {
		if first := d.names[st.Ino]; first != nil {
			link := *first
			link.Typeflag, link.Name, link.Linkname, link.Size, link.PAXRecords = tar.TypeLink, name, first.Name, 0, nil
			return d.out.WriteHeader(&link)
		}
		d.names[st.Ino] = h // completed below
	}
	switch kind {
	case fs.ModeDir, 0:
		return d.content(name, h, fi)
	case fs.ModeSymlink:
		target, err := d.root.Readlink(name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
	default:
		return errors.New("a device node, which no image may hold")
	}
	return d.out.WriteHeader(h)
}

// content ships what can be opened, with its attributes: a folder, or a file.
func (d *refDiff) content(name string, h *tar.Header, fi fs.FileInfo) error {
	f, opaque, err := openEntry(d.root, name, h, d.o.Owners)
	if err != nil {
		return err
	}
	defer f.Close()
	if fi.IsDir() {
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if err := d.out.WriteHeader(h); err != nil || !opaque {
			return err
		}
		return d.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Join(name, opaqueName)})
	}
	h.Size = fi.Size()
	return shipFile(d.out, h, f)
}
