package namespaces

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sealedSelf returns a copy of our own executable that nobody can change. Enter
// executes that one: whoever is in the container already sees it as /proc/PID/exe,
// and root in there could otherwise write to the program that its caller will run
// again outside (CVE-2019-5736; runc, libcontainer/exeseal).
func sealedSelf() (*os.File, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("coracle", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all can be executed
		fd, err = unix.MemfdCreate("coracle", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	sealed := os.NewFile(uintptr(fd), "a sealed copy of "+self.Name())
	if _, err = io.Copy(sealed, self); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		sealed.Close()
		return nil, fmt.Errorf("make %s: %w", sealed.Name(), err)
	}
	return sealed, nil
}
