package vm

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// anonymousFile is a file without a name, in memory.
func anonymousFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// dieWithParent keeps QEMU in a group of its own, so that Ctrl-C reaches only us, and from outliving us.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
