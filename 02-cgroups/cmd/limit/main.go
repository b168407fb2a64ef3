// Limit runs a command with a share of the machine: chapter 2 as a program.
//
//	limit [--memory 64M] [--cpus 0.5] [--pids 32] [--stats [INTERVAL]] [--] COMMAND [ARG…]
//
// The command is born in a group of its own, with its limits in place before its
// first instruction; when it ends, the group and all that is left in it go. Its exit
// status is the command's (128+signal for one that a signal ended); 125 is an error
// of limit's own, 126 a command that cannot be executed, 127 one that is not found.
// What it says itself goes to stderr.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	v1 "coracle/02-cgroups/v1"
)

// The command dies with the thread that started it (PR_SET_PDEATHSIG): that must
// be the one that lives as long as the process.
func init() { runtime.LockOSThread() }

func main() {
	v1.Reexec()
	status, err := limit(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "limit:", strings.ReplaceAll(err.Error(), "\n", "; "))
		status = code(err)
	}
	os.Exit(status)
}

func limit(args []string) (int, error) {
	o, err := parse(args)
	if err != nil || o == nil {
		return 0, err
	}
	return run(o)
}

// A commandError is the command's fault, not limit's.
type commandError struct{ err error }

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// code is the exit status for an error.
func code(err error) int {
	command := new(commandError)
	switch {
	case !errors.As(err, &command):
		return 125
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return 127
	}
	return 126
}

// startError tells what is wrong with the command from what is wrong with the group.
func startError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		switch errno {
		case syscall.EAGAIN, syscall.ENOMEM, syscall.EBUSY, syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL:
			return err
		}
	}
	return &commandError{err}
}
