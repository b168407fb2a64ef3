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

// Diff writes the upper folder of an overlay as a layer, a plain tar. The same
// tree gives the same bytes, whoever made it, whenever:
//
//   - a folder before what is in it, and that in lexical order; upper itself is "./";
//   - times in whole seconds, later ones than o.Epoch become it;
//   - ids of owners, no names; modes with set-user-ID, set-group-ID and sticky bits;
//   - attributes as openEntry gives them.
//
// What overlay deleted, a character device 0:0, is an empty file .wh.NAME; a
// folder that hides all below it is followed by .wh..wh..opq (both without mode, owner
// or time). Of a file with several names the first in the order has the content,
// the others are hard links to it. Sockets are left out.
//
// Errors: one line, `diff: "NAME": …`: a device node; a name that begins with .wh.,
// which would delete something elsewhere; a file that became shorter; ctx.Err().
// May use: openEntry, readNames, shortName, because. Rules: image-spec, layer.md;
// overlayfs.rst, "whiteouts and opaque directories".
func Diff(ctx context.Context, upper string, w io.Writer, o DiffOptions) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	defer root.Close()
	d := refDiff{ctx, root, o, tar.NewWriter(w), map[uint64]string{}}
	if err := d.visit("."); err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	return d.out.Close()
}

type refDiff struct {
	ctx   context.Context
	root  *os.Root
	o     DiffOptions
	out   *tar.Writer
	names map[uint64]string // of files with several names, by inode: the first
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
	if kind == fs.ModeDevice|fs.ModeCharDevice && st.Rdev == 0 {
		return d.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: dir + whiteoutPrefix + base})
	}
	if strings.HasPrefix(base, whiteoutPrefix) {
		return fmt.Errorf("no layer can hold a file called %s…", whiteoutPrefix)
	}
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: fi.ModTime().Truncate(time.Second), Format: tar.FormatPAX,
	}
	if !d.o.Epoch.IsZero() && h.ModTime.After(d.o.Epoch) {
		h.ModTime = d.o.Epoch
	}
	if d.o.Owners == Single { // links and fifos are root's (ownerXattr)
		h.Uid, h.Gid = 0, 0
	}
	if !fi.IsDir() && st.Nlink > 1 {
		if first, ok := d.names[st.Ino]; ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			return d.out.WriteHeader(h)
		}
		d.names[st.Ino] = name
	}
	switch kind {
	case fs.ModeDir, 0:
		return d.content(name, h, fi)
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		var err error
		if h.Linkname, err = d.root.Readlink(name); err != nil {
			return err
		}
		return d.out.WriteHeader(h)
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
		return d.out.WriteHeader(h)
	case fs.ModeSocket: // nothing without the process that made it
		return nil
	}
	return errors.New("a device node, which no image may hold")
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
		err := d.out.WriteHeader(h)
		if err == nil && opaque {
			err = d.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Join(name, opaqueName)})
		}
		return err
	}
	h.Size = fi.Size()
	if err := d.out.WriteHeader(h); err != nil {
		return err
	}
	// A file that grows meanwhile is cut, one that shrinks is an error.
	if _, err = io.CopyN(d.out, f, h.Size); err == io.EOF {
		err = errors.New("it became shorter while it was read")
	}
	return err
}
