package images

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// Mkdir makes a folder, or names one that is there. What it is like inside, and
// when it was changed, Settle says.
func (t *tree) Mkdir(name string, h *tar.Header) error {
	fd, err := -1, error(unix.ENOTDIR)
	for err == unix.ENOTDIR {
		base, err2 := t.parent(name)
		if err2 != nil {
			return err2
		}
		if err := unix.Mkdirat(t.dir, base, 0o700); err != nil && err != unix.EEXIST {
			return err
		}
		if fd, err = openFolder(t.dir, base); err == unix.ENOTDIR {
			if err := t.replace(name); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if t.o.Plain {
		if err := t.mine(name); err != nil {
			return err
		}
	}
	if err := t.note(name, folder{uint32(h.Mode) & 0o7777, h.ModTime, true}); err != nil {
		return err
	}
	return t.own(fd, h)
}

// File makes a file with the content's next h.Size bytes, its owner, mode, time and
// attributes.
func (t *tree) File(name string, h *tar.Header, content io.Reader) error {
	if h.Size > t.o.MaxBytes-t.applied.Size {
		return fmt.Errorf("more than %d bytes of files: %w", t.o.MaxBytes, ErrTooLarge)
	}
	t.applied.Size += h.Size
	base, err := t.place(name)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(t.dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return once(err)
	}
	defer unix.Close(fd)
	for left := h.Size; left > 0; {
		b := t.buf[:min(left, int64(len(t.buf)))]
		if _, err := io.ReadFull(content, b); err != nil {
			return err
		}
		left -= int64(len(b))
		for len(b) > 0 {
			n, err := unix.Write(fd, b)
			if err != nil && err != unix.EINTR {
				return fmt.Errorf("write: %w", err)
			}
			b = b[max(n, 0):]
		}
	}
	if err := t.own(fd, h); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)&0o7777); err != nil {
		return err
	}
	return t.touch(base, h.ModTime)
}

// Symlink makes a symbolic link. It may say whatever it likes: it is followed
// inside a container only, or through os.Root.
func (t *tree) Symlink(name string, h *tar.Header) error {
	base, err := t.place(name)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(h.Linkname, t.dir, base); err != nil {
		return once(err)
	}
	if err := t.chown(base, h); err != nil {
		return err
	}
	return t.touch(base, h.ModTime)
}

// Fifo makes a named pipe.
func (t *tree) Fifo(name string, h *tar.Header) error {
	base, err := t.place(name)
	if err != nil {
		return err
	}
	if err := unix.Mkfifoat(t.dir, base, 0o600); err != nil {
		return once(err)
	}
	if err := t.chown(base, h); err != nil {
		return err
	}
	if err := unix.Fchmodat(t.dir, base, uint32(h.Mode)&0o7777, 0); err != nil {
		return err
	}
	return t.touch(base, h.ModTime)
}

// Link makes name another name of a file that is in the folder already, which is
// not followed if it is a symbolic link.
func (t *tree) Link(name, old string) error {
	if _, err := t.place(name); err != nil {
		return err
	}
	return once(t.root.Link(old, name))
}

// Whiteout says that there is no such name in the layers below. If this layer has
// a folder of that name, the folder is opaque; if it has a file, that hides enough.
// Below what is hidden already there is nothing to hide.
func (t *tree) Whiteout(name string) error {
	for i := range name {
		if name[i] == '/' && t.hidden[name[:i]] {
			return nil
		}
	}
	base, err := t.parent(name)
	if err != nil {
		return err
	}
	t.hidden[name] = true
	if t.o.Plain {
		return t.prune(name)
	}
	var st unix.Stat_t
	err = unix.Fstatat(t.dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return t.Opaque(name)
	case err == nil:
		return nil
	case err != unix.ENOENT:
		return err
	}
	if err := t.count(); err != nil {
		return err
	}
	// Any user may make this one device, since Linux 5.8.
	if err := unix.Mknodat(t.dir, base, unix.S_IFCHR, 0); err != nil {
		return fmt.Errorf("mknod of a whiteout: %w", err)
	}
	return nil
}

// Opaque says that of a folder the layers below show nothing.
func (t *tree) Opaque(name string) error {
	if _, err := t.parent(path.Join(name, "x")); err != nil {
		return err
	}
	t.hidden[name] = true
	if !t.o.Plain {
		return setXattr(t.dir, opaqueXattr, "y")
	}
	return t.pruneIn(name)
}

// prune removes from a plain folder what is not this layer's.
func (t *tree) prune(name string) error {
	if !t.made[name] {
		t.leave()
		return t.root.RemoveAll(name)
	}
	if fi, err := t.root.Lstat(name); err != nil || !fi.IsDir() {
		return err
	}
	return t.pruneIn(name)
}

func (t *tree) pruneIn(dir string) error {
	names, err := readNames(t.root, dir)
	for _, name := range names {
		if err == nil {
			err = t.prune(path.Join(dir, name))
		}
	}
	return err
}

// readNames lists a folder, in no order. (io/fs would refuse names that are not UTF-8.)
func readNames(root *os.Root, dir string) ([]string, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (t *tree) touch(base string, at time.Time) error {
	ts := unix.Timespec{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
	if err := unix.UtimesNanoAt(t.dir, base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the time %v: %w", at, err)
	}
	return nil
}

// bound reads r until ctx ends, and not more than max bytes.
func bound(ctx context.Context, r io.Reader, max int64) io.Reader {
	return &bounded{ctx, r, max, max}
}

type bounded struct {
	ctx       context.Context
	r         io.Reader
	left, max int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left < 0 {
		return 0, fmt.Errorf("more than %d bytes: %w", b.max, ErrTooLarge)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	return n, err
}
