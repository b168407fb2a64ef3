package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// inherit gives folders of a layer, parents first, what the same folders have in
// the layers below, topmost first: mode, owner, time and attributes. A layer need
// not name a folder to put a file into it, but in an overlay the topmost folder is
// the one that counts. One that is nowhere below stays as it is.
func inherit(dir string, folders, lower []string) error {
	if len(folders) == 0 || len(lower) == 0 {
		return nil
	}
	layers := make([]*os.Root, 0, len(lower)+1)
	defer func() {
		for _, l := range layers {
			l.Close()
		}
	}()
	for _, d := range append([]string{dir}, lower...) {
		r, err := os.OpenRoot(d)
		if err != nil {
			return err
		}
		layers = append(layers, r)
	}
	for _, name := range folders {
		if err := inheritOne(layers, path.Clean(name)); err != nil {
			return fmt.Errorf("%s: the folder below: %w", name, err)
		}
	}
	return nil
}

func inheritOne(layers []*os.Root, name string) error {
	for i, l := range layers {
		is, hides, err := look(l, name)
		if err != nil {
			return err
		}
		if i > 0 && is {
			return copyAttributes(l, layers[0], name)
		}
		if hides {
			return nil
		}
	}
	return nil
}

// look says whether name is a folder in a layer, and whether the layers below it
// are hidden there: by a file, a whiteout, or an opaque folder on the way.
func look(l *os.Root, name string) (is, hides bool, err error) {
	at := "."
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		fi, err := l.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return false, hides, nil
		}
		if err != nil {
			return false, false, err
		}
		if !fi.IsDir() {
			return false, true, nil
		}
		f, err := l.Open(at)
		if err != nil {
			return false, false, err
		}
		value, _ := getXattr(int(f.Fd()), opaqueXattr)
		f.Close()
		hides = hides || value == "y"
	}
	return true, hides, nil
}

// copyAttributes copies all but overlay's own marks, which are about one layer.
func copyAttributes(from, to *os.Root, name string) error {
	src, err := from.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := to.Open(name)
	if err != nil {
		return err
	}
	defer dst.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return err
	}
	fd := int(dst.Fd())
	return errors.Join(
		unix.Fchown(fd, int(st.Uid), int(st.Gid)),
		unix.Fchmod(fd, st.Mode&0o7777), // after chown, which takes bits away
		copyXattrs(int(src.Fd()), fd),
		unix.UtimesNanoAt(fd, "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH))
}

func copyXattrs(from, to int) error {
	names, err := listXattrs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !shipped(name) && name != ownerXattr {
			continue
		}
		value, err := getXattr(from, name)
		if err == nil {
			err = setXattr(to, name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
