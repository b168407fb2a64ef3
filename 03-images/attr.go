package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// A layer says in names what it takes away (image-spec, layer.md): .wh.NAME for
	// NAME, .wh..wh..opq for all that the folder held. No other file may be called so.
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"

	// opaqueXattr marks a folder below which overlay looks no further: in a mount
	// with userxattr, which is how all of ours are made (overlayfs.rst).
	opaqueXattr = "user.overlay.opaque"
	// ownerXattr keeps the owner of a file where there is a single id: "UID:GID".
	// Without it a file is root's. Links and fifos cannot have it (xattr(7)) and are root's.
	ownerXattr = "user.coracle.owner"

	paxXattr = "SCHILY.xattr." // what tar writers call an extended attribute
)

// shipped says whether a layer holds an extended attribute. Those of users and
// the capabilities of a program are an image's; what overlay and we mark files
// with, and what a machine's own policy does (security.selinux, trusted., ACLs),
// is not: it is left out on the way in, so that no image can forge it, and on the
// way out.
func shipped(name string) bool {
	if strings.HasPrefix(name, "user.overlay.") || strings.HasPrefix(name, "user.coracle.") {
		return false
	}
	return strings.HasPrefix(name, "user.") || name == "security.capability"
}

// own gives an open file the owner and the attributes of its entry. The mode comes
// after: chown(2) takes set-user-ID and capabilities away.
func (t *tree) own(fd int, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	if t.o.Plain { // the folder may have been there
		if err := dropXattrs(fd); err != nil {
			return err
		}
	}
	switch {
	case t.o.Owners == Kernel:
		if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
			return chownError(h, err)
		}
	case h.Uid != 0 || h.Gid != 0:
		if err := setXattr(fd, ownerXattr, fmt.Sprintf("%d:%d", h.Uid, h.Gid)); err != nil {
			return err
		}
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok || !shipped(name) {
			continue
		}
		if err := setXattr(fd, name, value); err != nil {
			return err
		}
	}
	return nil
}

// chown is own for what cannot be opened.
func (t *tree) chown(base string, h *tar.Header) error {
	if err := checkOwner(h); err != nil || t.o.Owners == Single {
		return err
	}
	if err := unix.Fchownat(t.dir, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return chownError(h, err)
	}
	return nil
}

// checkOwner: -1 would tell chown(2) to leave the owner as it is.
func checkOwner(h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32-1 || int64(h.Gid) >= 1<<32-1 {
		return fmt.Errorf("the owner %d:%d, which is no id", h.Uid, h.Gid)
	}
	return nil
}

func chownError(h *tar.Header, err error) error {
	if err == unix.EINVAL {
		return fmt.Errorf("the owner %d:%d, which this user namespace does not map: a larger range in /etc/subuid and /etc/subgid is needed", h.Uid, h.Gid)
	}
	return fmt.Errorf("chown to %d:%d: %w", h.Uid, h.Gid, err)
}

func setXattr(fd int, name, value string) error {
	err := unix.Fsetxattr(fd, name, []byte(value), 0)
	if err == unix.ENOTSUP {
		return fmt.Errorf("attribute %s: this file system keeps none (tmpfs does since Linux 6.6, ext4, xfs and btrfs always)", name)
	}
	if err != nil {
		return fmt.Errorf("attribute %s: %w", name, err)
	}
	return nil
}

func listXattrs(fd int) ([]string, error) {
	for {
		n, err := unix.Flistxattr(fd, nil)
		if n == 0 || err == unix.ENOTSUP {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = unix.Flistxattr(fd, buf)
		if err == nil {
			return strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00"), nil
		}
		if err != unix.ERANGE {
			return nil, err
		}
	}
}

func getXattr(fd int, name string) (string, error) {
	for {
		n, err := unix.Fgetxattr(fd, name, nil)
		if err != nil {
			return "", err
		}
		buf := make([]byte, n+1)
		n, err = unix.Fgetxattr(fd, name, buf)
		if err == nil {
			return string(buf[:n]), nil
		}
		if err != unix.ERANGE {
			return "", err
		}
	}
}

func dropXattrs(fd int) error {
	names, err := listXattrs(fd)
	for _, name := range names {
		if err == nil && (shipped(name) || name == ownerXattr) {
			err = unix.Fremovexattr(fd, name)
		}
	}
	return err
}

// attributes are what a file or folder has besides content, mode and time.
type attributes struct {
	Uid, Gid int
	Xattrs   map[string]string // those that a layer holds
	Opaque   bool
}

// readAttributes reads them from an open file or folder, whose owner the file
// system says is uid and gid.
func readAttributes(f *os.File, uid, gid int, owners Owners) (attributes, error) {
	a := attributes{Uid: uid, Gid: gid, Xattrs: map[string]string{}}
	if owners == Single {
		a.Uid, a.Gid = 0, 0
	}
	names, err := listXattrs(int(f.Fd()))
	if err != nil {
		return a, err
	}
	for _, name := range names {
		if !shipped(name) && name != opaqueXattr && (name != ownerXattr || owners != Single) {
			continue
		}
		value, err := getXattr(int(f.Fd()), name)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return a, fmt.Errorf("attribute %s: %w", name, err)
		}
		switch name {
		case opaqueXattr:
			a.Opaque = value == "y"
		case ownerXattr:
			if _, err := fmt.Sscanf(value, "%d:%d", &a.Uid, &a.Gid); err != nil {
				return a, fmt.Errorf("attribute %s: %q is not UID:GID", name, value)
			}
		default:
			a.Xattrs[name] = value
		}
	}
	return a, nil
}

// ownerOf is the owner of what cannot be opened, and so has no attribute: root, where
// attributes keep owners.
func ownerOf(st *syscall.Stat_t, owners Owners) (uid, gid int) {
	if owners == Single {
		return 0, 0
	}
	return int(st.Uid), int(st.Gid)
}

// openEntry opens a file or folder and completes its header: the owner, and the
// attributes that a layer holds. It says, too, whether overlay looks no further below
// a folder.
func openEntry(root *os.Root, name string, h *tar.Header, owners Owners) (f *os.File, opaque bool, err error) {
	f, err = root.Open(name)
	if err != nil {
		return nil, false, err
	}
	a, err := readAttributes(f, h.Uid, h.Gid, owners)
	if err != nil {
		f.Close()
		return nil, false, err
	}
	h.Uid, h.Gid, h.PAXRecords = a.Uid, a.Gid, map[string]string{}
	for name, value := range a.Xattrs {
		h.PAXRecords[paxXattr+name] = value
	}
	return f, a.Opaque, nil
}

// shipFile writes a file's header and its content, cut to the size that the header
// has: a file may grow meanwhile. One that shrinks is an error.
func shipFile(out *tar.Writer, h *tar.Header, f *os.File) error {
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.CopyN(out, f, h.Size)
	if err == io.EOF {
		return errors.New("it became shorter while it was read")
	}
	return err
}
