package images

import (
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Whiteout says that there is no such name in the layers below. It comes after all
// that this layer brings, a folder before what was in it. If this layer has
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
