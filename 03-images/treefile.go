package images

import (
	"archive/tar"
	"fmt"
	"io"
	"slices"
	"strings"
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

func (t *tree) touch(base string, at time.Time) error {
	ts := unix.Timespec{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
	if err := unix.UtimesNanoAt(t.dir, base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the time %v: %w", at, err)
	}
	return nil
}

// Settle gives the folders their modes and times. Nothing is put into one afterwards.
func (t *tree) Settle() (Applied, error) {
	names := make([]string, 0, len(t.folders))
	for name, f := range t.folders {
		names = append(names, name)
		if !f.named {
			t.applied.Implicit = append(t.applied.Implicit, name)
		}
	}
	slices.Sort(t.applied.Implicit)
	// A folder after what is in it: its mode may be one that lets nobody in. One that
	// an entry named last, in case it was made by two names.
	slices.SortFunc(names, func(a, b string) int {
		if named := t.folders[a].named; named != t.folders[b].named {
			if named {
				return 1
			}
			return -1
		}
		return strings.Compare(b, a)
	})
	for _, name := range names {
		f := t.folders[name]
		if name == "." && !f.named {
			continue
		}
		base, err := t.parent(name)
		if err == nil {
			err = unix.Fchmodat(t.dir, base, f.mode, 0)
		}
		if err == nil {
			err = t.touch(base, f.mtime)
		}
		if err != nil {
			return Applied{}, fmt.Errorf("layer: %s: mode and time: %w", shortName(name), because(err))
		}
	}
	return t.applied, nil
}
