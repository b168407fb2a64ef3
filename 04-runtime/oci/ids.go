package oci

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setGroups, setGID and setUID change the calling thread alone. The functions of
// package syscall stop every thread of the program, to change all of them: two
// milliseconds here, for threads that end with execve.
func setGroups(groups []uint32) error {
	var first *uint32
	if len(groups) > 0 {
		first = &groups[0]
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(first)), 0)
	runtime.KeepAlive(groups)
	return asError(errno)
}

func setGID(gid uint32) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
	return asError(errno)
}

func setUID(uid uint32) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
	return asError(errno)
}

func asError(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
