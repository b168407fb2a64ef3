// Alternative: folders and leaves apart; the header of a file with several names is kept for the links.
package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func Diff(ctx context.Context, upper string, w io.Writer, o DiffOptions) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return fmt.Errorf("diff: %s: %w", shortName(upper), because(err))
	}
	defer root.Close()
	d := refDiffer{root: root, out: tar.NewWriter(w), o: o, first: map[refInode]*tar.Header{}}
	if name, err := d.walk(ctx, "."); err != nil {
		return fmt.Errorf("diff: %s: %w", shortName(name), because(err))
	}
	if err := d.out.Close(); err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	return nil
}

type refInode struct{ dev, ino uint64 }

// refDiffer is one Diff.
type refDiffer struct {
	root  *os.Root
	out   *tar.Writer
	o     DiffOptions
	first map[refInode]*tar.Header // of files with several names
}

// walk writes name and all below it. It returns the name that an error is about.
func (d *refDiffer) walk(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return name, err
	}
	if strings.HasPrefix(path.Base(name), whiteoutPrefix) {
		return name, errors.New("a name that would delete something elsewhere")
	}
	fi, err := d.root.Lstat(name)
	if err != nil {
		return name, err
	}
	if !fi.IsDir() {
		return name, d.leaf(name, fi)
	}
	if err := d.folder(name, fi); err != nil {
		return name, err
	}
	names, err := readNames(d.root, name)
	if err != nil {
		return name, err
	}
	slices.Sort(names)
	for _, n := range names {
		if at, err := d.walk(ctx, path.Join(name, n)); err != nil {
			return at, err
		}
	}
	return "", nil
}

// header has what a header says of every kind of file, with the file system's owner.
func (d *refDiffer) header(name string, fi os.FileInfo) *tar.Header {
	st := fi.Sys().(*syscall.Stat_t)
	t := fi.ModTime()
	if !d.o.Epoch.IsZero() && t.After(d.o.Epoch) {
		t = d.o.Epoch
	}
	return &tar.Header{
		Format:  tar.FormatPAX,
		Name:    name,
		Mode:    int64(st.Mode & 0o7777),
		Uid:     int(st.Uid),
		Gid:     int(st.Gid),
		ModTime: time.Unix(t.Unix(), 0),
	}
}

func (d *refDiffer) folder(name string, fi os.FileInfo) error {
	h := d.header(name+"/", fi)
	h.Typeflag = tar.TypeDir
	f, opaque, err := openEntry(d.root, name, h, d.o.Owners)
	if err != nil {
		return err
	}
	f.Close()
	if err := d.out.WriteHeader(h); err != nil || !opaque {
		return err
	}
	return d.mark(path.Join(name, opaqueName))
}

// mark writes an empty file that is there for its name.
func (d *refDiffer) mark(name string) error {
	return d.out.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name})
}

// leaf writes what is no folder.
func (d *refDiffer) leaf(name string, fi os.FileInfo) error {
	st := fi.Sys().(*syscall.Stat_t)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFBLK:
		return errors.New("a device node, which no layer may hold")
	case unix.S_IFCHR:
		if st.Rdev != 0 {
			return errors.New("a device node, which no layer may hold")
		}
		dir, base := path.Split(name)
		return d.mark(dir + whiteoutPrefix + base)
	}
	id := refInode{uint64(st.Dev), st.Ino}
	if first := d.first[id]; first != nil {
		h := *first
		h.Typeflag, h.Name, h.Linkname, h.Size, h.PAXRecords = tar.TypeLink, name, first.Name, 0, nil
		return d.out.WriteHeader(&h)
	}
	h := d.header(name, fi)
	if st.Nlink > 1 {
		d.first[id] = h
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
		f, _, err := openEntry(d.root, name, h, d.o.Owners)
		if err != nil {
			return err
		}
		defer f.Close()
		return shipFile(d.out, h, f)
	case unix.S_IFLNK:
		target, err := d.root.Readlink(name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return fmt.Errorf("a file of an unknown kind, %v", fi.Mode())
	}
	h.Uid, h.Gid = ownerOf(st, d.o.Owners)
	return d.out.WriteHeader(h)
}
