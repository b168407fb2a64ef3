package oci

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openSelf opens this program for execution in a container, where root sees it as
// /proc/PID/exe and must not be able to write to what will run again outside
// (CVE-2019-5736; runc, libcontainer/exeseal). A copy of the mount that shows the
// file, read-only, does: it is attached nowhere, so once the caller has closed it no
// mount_setattr(2) applies to it, and nobody in the container can make it writable.
// To clone a mount takes CAP_SYS_ADMIN; without it the program is copied to a sealed
// memfd, which costs a millisecond and its size in memory.
func openSelf() (*os.File, error) {
	const self = "/proc/self/exe"
	if tree, err := unix.OpenTree(unix.AT_FDCWD, self, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err == nil {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err == nil {
			return os.NewFile(uintptr(tree), self), nil
		}
		unix.Close(tree)
	}
	return sealedCopy(self)
}

func sealedCopy(self string) (*os.File, error) {
	from, err := os.Open(self)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("coracle", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all can be executed
		fd, err = unix.MemfdCreate("coracle", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	sealed := os.NewFile(uintptr(fd), "a sealed copy of "+self)
	if _, err = io.Copy(sealed, from); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		sealed.Close()
		return nil, fmt.Errorf("make %s: %w", sealed.Name(), err)
	}
	return sealed, nil
}
