package oci

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The barrier between create and start is a FIFO (fifo(7)), because neither side
// knows the other: the process that waits was made by a command that has ended, and
// start is another. Opening a FIFO for writing blocks until somebody reads.
//
//	the container's init                       start
//	open for writing, blocks …  ◀───────────── open for reading
//	startContainer hooks
//	execve: close-on-exec ends the FIFO ─────▶ end of file: the program runs
//	or the error, as text, then exit ────────▶ text: it does not

// MakeBarrier makes the FIFO. Whoever waits may be root of another user namespace,
// to whom the file belongs to nobody: hence the right to write for others; the
// folder above keeps strangers out. It returns a descriptor that can do nothing but
// be opened anew (O_PATH), for Await in the child.
func MakeBarrier(path string) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o622); err != nil {
		return nil, fmt.Errorf("make the barrier %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o622); err != nil { // whatever the umask says
		return nil, fmt.Errorf("make the barrier: %w", err)
	}
	return os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
}

// Await blocks until somebody reads. fifo is MakeBarrier's descriptor, proc an open
// /proc/self/fd from before the root moved: the container need not have a /proc, or
// an honest one. What is returned ends for the reader by execve, or takes an error.
func Await(fifo, proc int) (*os.File, error) {
	for {
		fd, err := unix.Openat(proc, fmt.Sprint(fifo), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), "exec.fifo"), nil
		} else if !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("wait at the barrier: %w", err)
		}
	}
}

// Release lets the process behind pidfd through and returns once its program runs,
// nil, or failed to: the error that it wrote. A process that dies before it says
// anything is an error too, and not a wait without end.
func Release(path string, pidfd int) error {
	// Without O_NONBLOCK this would block until somebody writes: maybe nobody does.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the barrier: %w", err)
	}
	fifo := os.NewFile(uintptr(fd), path)
	defer fifo.Close()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
	// The FIFO becomes readable, or hangs up, only after a writer has come.
	for fds[0].Revents == 0 && fds[1].Revents == 0 {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for the container's process: %w", err)
		}
	}
	if fds[0].Revents == 0 {
		return errors.New("the container's process ended before its program ran")
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	said, err := io.ReadAll(fdReader(fd))
	if err == nil && len(said) > 0 {
		err = errors.New(string(said))
	}
	return err
}
