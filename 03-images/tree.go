package images

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is the folder that a layer is unpacked into. Names are slash-separated,
// clean and relative. Folders that a name needs are made.
//
// Nothing leads outside: the folder of a name is opened through os.Root, which
// follows a symbolic link only inside; what is done there is done to one name in
// that folder by the *at system calls, which follow no link at all. Files of a layer
// come folder by folder, so the last folder is kept open.
type tree struct {
	root    *os.Root
	top     int // its descriptor
	o       ApplyOptions
	applied Applied
	folders map[string]folder
	made    map[string]bool // Plain: what is this layer's and not one's below
	hidden  map[string]bool // what Whiteout and Opaque hid
	room    int             // for names

	at  string // the folder that is open
	dir int    // -1: none
	buf []byte
}

// A folder gets its mode and time when all is in it: both would stand in the way,
// or change, before.
type folder struct {
	mode  uint32
	mtime time.Time
	named bool
}

func openTree(dir string, o ApplyOptions) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxEntries = cmp.Or(o.MaxEntries, DefaultMaxEntries)
	t := &tree{
		root: root, o: o, dir: -1, room: maxRemembered, buf: make([]byte, 256<<10),
		folders: map[string]folder{".": {}}, made: map[string]bool{}, hidden: map[string]bool{},
	}
	if t.top, err = t.open("."); err != nil {
		root.Close()
		return nil, err
	}
	return t, nil
}

func (t *tree) Close() error {
	t.leave()
	unix.Close(t.top)
	return t.root.Close()
}

func (t *tree) leave() {
	if t.dir >= 0 {
		unix.Close(t.dir)
		t.dir = -1
	}
}

// parent opens the folder of name, as t.dir, and returns the last part of name.
func (t *tree) parent(name string) (base string, err error) {
	if !filepath.IsLocal(name) || name != path.Clean(name) {
		return "", errors.New("a name that is not clean, or leads out of the layer")
	}
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if t.dir >= 0 && t.at == dir {
		return base, nil
	}
	if len(name) >= unix.PathMax {
		return "", unix.ENAMETOOLONG
	}
	if strings.Count(name, "/") > maxFolders {
		return "", fmt.Errorf("more than %d folders deep: %w", maxFolders, ErrTooLarge)
	}
	t.leave()
	if t.dir, err = t.walk(dir); err != nil {
		return "", fmt.Errorf("its folder: %w", err)
	}
	t.at = dir
	return base, nil
}

// walk opens a folder, step by step, and makes what is missing. A symbolic link on
// the way is os.Root's to follow.
func (t *tree) walk(dir string) (fd int, err error) {
	fd, err = openFolder(t.top, ".")
	for i := 1; i <= len(dir) && err == nil && dir != "."; i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		at := dir[:i]
		up := fd
		fd, err = openFolder(up, path.Base(at))
		if err == unix.ENOTDIR { // as a link is with O_NOFOLLOW
			fd, err = t.open(at)
		}
		if t.o.Plain && errors.Is(err, unix.ENOTDIR) && t.replace(at) == nil {
			err = unix.ENOENT
		}
		if err == unix.ENOENT {
			if err = unix.Mkdirat(up, path.Base(at), 0o700); err == nil {
				err = t.note(at, folder{mode: 0o755, mtime: time.Unix(0, 0)})
			}
			if err == nil {
				fd, err = openFolder(up, path.Base(at))
			}
		}
		if err == nil && t.o.Plain {
			err = t.mine(at)
		}
		unix.Close(up)
	}
	if err != nil && fd >= 0 {
		unix.Close(fd)
	}
	return fd, err
}

func openFolder(at int, base string) (int, error) {
	return unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// open opens a folder by links that stay inside. It never waits, not for a fifo either.
func (t *tree) open(dir string) (int, error) {
	f, err := t.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// note counts an entry, and remembers a folder for Settle.
func (t *tree) note(name string, f folder) error {
	if t.folders[name] == (folder{}) {
		if err := t.remember(name); err != nil {
			return err
		}
	}
	t.folders[name] = f
	return t.count()
}

func (t *tree) count() error {
	if t.applied.Entries++; t.applied.Entries > t.o.MaxEntries {
		return fmt.Errorf("more than %d files: %w", t.o.MaxEntries, ErrTooLarge)
	}
	return nil
}

// remember says whether there is room for one more name in memory.
func (t *tree) remember(name string) error {
	if t.room -= len(name) + 64; t.room < 0 {
		return fmt.Errorf("more than %d bytes of names: %w", maxRemembered, ErrTooLarge)
	}
	return nil
}

// mine notes that a name is this layer's.
func (t *tree) mine(name string) error {
	if t.made[name] {
		return nil
	}
	t.made[name] = true
	return t.remember(name)
}

// replace removes what a layer below put into a plain folder. All else is a second
// entry.
func (t *tree) replace(name string) error {
	if !t.o.Plain || t.made[name] {
		return errTwice
	}
	t.leave()
	if err := t.root.RemoveAll(name); err != nil {
		return err
	}
	return t.mine(name)
}

// place opens the folder for an entry that is new.
func (t *tree) place(name string) (base string, err error) {
	if err := t.count(); err != nil {
		return "", err
	}
	base, err = t.parent(name)
	if err != nil || !t.o.Plain {
		return base, err
	}
	if err := unix.Faccessat(t.dir, base, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
		return base, t.mine(name)
	}
	if err := t.replace(name); err != nil {
		return "", err
	}
	return t.parent(name)
}
