package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A subPath is looked up while a container may be changing the volume: a folder of a
// moment ago is now a link to / (CVE-2017-1002101, CVE-2021-25741). So it is looked up
// once, by the kernel, with the volume as its root, and from then on it is a descriptor:
// what is bound is what was opened, not what has that path a moment later.
//
//	openat2(volume, "a/b", O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) ─> fd
//	open_tree(fd, CLONE) ─> a mount of it, attached nowhere ── move_mount ─> DIR/UID/volume-subpaths/…

const inVolume = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// bindSubPath binds what sub is within volume to the path to, which nobody but the agent
// writes. What is missing of it is made, as folders. A bind that is there stays if it is
// of the same file, and is replaced otherwise.
func bindSubPath(volume, sub, to, propagation string) error {
	root, err := unix.Open(volume, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open volume", Path: volume, Err: err}
	}
	defer unix.Close(root)
	from, err := openSubPath(root, sub)
	if err != nil {
		return fmt.Errorf("subPath %s: %w", sub, err)
	}
	defer unix.Close(from)
	var want, have unix.Stat_t
	if err := unix.Fstat(from, &want); err != nil {
		return err
	}
	bound, err := mountinfo.Mounted(to)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if bound {
		if err := unix.Stat(to, &have); err == nil && have.Dev == want.Dev && have.Ino == want.Ino {
			return nil
		}
		if err := unmountBelow(to); err != nil {
			return err
		}
	}
	if err := makePlace(to, want.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return err
	}
	return bind(from, to, propagation)
}

// openSubPath opens a path below root, as if root were /, and makes what is missing.
func openSubPath(root int, sub string) (int, error) {
	var top unix.Stat_t
	if err := unix.Fstat(root, &top); err != nil {
		return -1, err
	}
	parts := strings.FieldsFunc(sub, func(r rune) bool { return r == '/' })
	if len(parts) == 0 {
		return -1, unix.EINVAL
	}
	fd, err := resolve(root, sub, unix.O_PATH)
	for n := 1; n <= len(parts) && errors.Is(err, unix.ENOENT); n++ {
		if err := makeFolderAt(root, parts[:n], top.Mode&0o777); err != nil {
			return -1, err
		}
		if n == len(parts) {
			fd, err = resolve(root, sub, unix.O_PATH)
		}
	}
	return fd, err
}

// makeFolderAt makes the last of the parts, with the mode of the volume, unless it is there.
func makeFolderAt(root int, parts []string, mode uint32) error {
	at, err := resolve(root, strings.Join(append([]string{"."}, parts[:len(parts)-1]...), "/"), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	name := parts[len(parts)-1]
	if err := unix.Mkdirat(at, name, mode); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil // to a link that leads nowhere, the next look says ENOENT
		}
		return err
	}
	// By a descriptor: a container may have put something else there already.
	made, err := unix.Openat2(at, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(made)
	var st unix.Stat_t
	if err := unix.Fstat(made, &st); err != nil {
		return err
	}
	return unix.Fchmod(made, mode|st.Mode&unix.S_ISGID) // whatever the umask is
}

// resolve opens a path within root. EAGAIN: something was renamed on the way, and the
// kernel cannot be sure that it is still inside (openat2(2)).
func resolve(root int, path string, flags uint64) (fd int, err error) {
	for range 128 {
		fd, err = unix.Openat2(root, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: inVolume})
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
	return -1, err
}

// makePlace makes the folder or file that something is bound on.
func makePlace(to string, dir bool) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	if fi, err := os.Lstat(to); err == nil && fi.IsDir() != dir {
		if err := os.Remove(to); err != nil {
			return err
		}
	}
	if dir {
		return os.MkdirAll(to, 0o750)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}

func bind(from int, to, propagation string) error {
	tree, err := unix.OpenTree(from, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	// A clone of a shared mount is its peer.
	ways := map[string]uint64{"private": unix.MS_PRIVATE, "rslave": unix.MS_SLAVE}
	if way, ok := ways[propagation]; ok {
		attr := unix.MountAttr{Propagation: way}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return os.NewSyscallError("mount_setattr", err)
		}
	}
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH))
}
