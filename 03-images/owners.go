package images

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attributes are what a layer says of a file besides its content, mode and time.
type Attributes struct {
	UID, GID int
	Xattrs   map[string]string // those that a layer may hold
}

// Attributes reads them from an open file or folder.
func (o Owners) Attributes(f *os.File) (Attributes, error) {
	fi, err := f.Stat()
	if err != nil {
		return Attributes{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	a, err := readAttributes(f, int(st.Uid), int(st.Gid), o)
	return Attributes{a.Uid, a.Gid, a.Xattrs}, err
}

// SetAttributes gives them to an open file or folder; its mode is set after.
func (o Owners) SetAttributes(f *os.File, a Attributes) error {
	fd := int(f.Fd())
	switch err := error(nil); {
	case o == Kernel:
		if err = unix.Fchown(fd, a.UID, a.GID); err != nil {
			return fmt.Errorf("chown to %d:%d: %w", a.UID, a.GID, err)
		}
	case a.UID != 0 || a.GID != 0:
		if err = setXattr(fd, ownerXattr, fmt.Sprintf("%d:%d", a.UID, a.GID)); err != nil {
			return err
		}
	default:
		unix.Fremovexattr(fd, ownerXattr) // without it a file is root's; there need not be one
	}
	for name, value := range a.Xattrs {
		if err := setXattr(fd, name, value); err != nil {
			return err
		}
	}
	return nil
}
