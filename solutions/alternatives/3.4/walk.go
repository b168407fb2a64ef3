// Alternative: filepath.WalkDir, whose order is lexical already, and links found by device and inode.
package images

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func Diff(ctx context.Context, upper string, w io.Writer, o DiffOptions) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	defer root.Close()
	out := tar.NewWriter(w)
	seen := map[[2]uint64]*tar.Header{}
	err = filepath.WalkDir(upper, func(at string, _ fs.DirEntry, err error) error {
		name, _ := filepath.Rel(upper, at)
		if err = cmp.Or(err, ctx.Err()); err == nil {
			err = refShip(root, out, name, o, seen)
		}
		if err != nil {
			return fmt.Errorf("diff: %s: %w", shortName(name), because(err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func refShip(root *os.Root, out *tar.Writer, name string, o DiffOptions, seen map[[2]uint64]*tar.Header) error {
	fi, err := root.Lstat(name)
	if err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	slash := strings.LastIndexByte(name, '/') + 1
	kind := st.Mode & unix.S_IFMT
	mark := tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if kind == unix.S_IFCHR && st.Rdev == 0 {
		mark.Name = name[:slash] + ".wh." + name[slash:]
		return out.WriteHeader(&mark)
	}
	if strings.HasPrefix(name[slash:], ".wh.") {
		return fmt.Errorf("a name that begins with .wh. stands for a deletion")
	}
	h := &tar.Header{Name: name, Mode: int64(st.Mode & 0o7777), Format: tar.FormatPAX, ModTime: refTime(st.Mtim.Sec, o)}
	h.Uid, h.Gid = ownerOf(st, o.Owners)
	if kind == unix.S_IFSOCK {
		return nil
	}
	inode := [2]uint64{st.Dev, st.Ino}
	if first := seen[inode]; first != nil && kind != unix.S_IFDIR {
		h.Typeflag, h.Linkname, h.Uid, h.Gid = tar.TypeLink, first.Name, first.Uid, first.Gid
		return out.WriteHeader(h)
	}
	seen[inode] = h
	switch kind {
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return out.WriteHeader(h)
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = root.Readlink(name); err == nil {
			err = out.WriteHeader(h)
		}
		return err
	case unix.S_IFREG, unix.S_IFDIR:
	default:
		return fmt.Errorf("a device, which a layer cannot hold")
	}
	f, opaque, err := openEntry(root, name, h, o.Owners)
	if err != nil {
		return err
	}
	defer f.Close()
	if kind == unix.S_IFREG {
		h.Typeflag, h.Size = tar.TypeReg, fi.Size()
		if err = out.WriteHeader(h); err == nil {
			_, err = io.CopyN(out, f, h.Size)
		}
		return err
	}
	h.Typeflag, h.Name = tar.TypeDir, name+"/"
	if err = out.WriteHeader(h); err == nil && opaque {
		mark.Name = filepath.Join(name, ".wh..wh..opq")
		err = out.WriteHeader(&mark)
	}
	return err
}

func refTime(seconds int64, o DiffOptions) time.Time {
	at := time.Unix(seconds, 0)
	if o.Epoch.IsZero() || at.Before(o.Epoch) {
		return at
	}
	return time.Unix(o.Epoch.Unix(), 0)
}
