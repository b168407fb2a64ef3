package namespaces

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// initName is how the child knows itself: the same program, executed again by
// another name.
const initName = "coracle-init"

// The descriptors of the child besides its stdio.
const (
	specFD    = 3 // it reads the spec from here
	errorFD   = 4 // it writes why it failed to here
	consoleFD = 5 // Stdio.Console: it sends the master of its terminal to here
)

// initEnv is the environment of the child until execve. It lives for a
// millisecond: collecting garbage would be the larger part of its work.
var initEnv = []string{"GOGC=off"}

// Reexec runs Init and never returns if this process is a child of Start. Every
// program that calls Start calls Reexec first in its main.
func Reexec() {
	if len(os.Args) == 0 || os.Args[0] != initName {
		return
	}
	runtime.LockOSThread() // what setup changes belongs to one thread, which must execute the program
	fmt.Fprintln(os.Stderr, "init:", Init())
	os.Exit(125)
}

// A StartError is what kept a child from becoming its program.
type StartError struct {
	Program bool          `json:"program,omitempty"` // the program could not be executed; else a step before it failed
	Errno   syscall.Errno `json:"errno,omitempty"`   // 0 if no system call failed
	Text    string        `json:"text"`
}

func (e *StartError) Error() string { return e.Text }

// Unwrap lets errors.Is(err, fs.ErrNotExist) and errors.Is(err, syscall.EPERM) work.
func (e *StartError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// encodeError makes bytes of what went wrong in the child, for the error pipe.
func encodeError(err error) []byte {
	e := new(StartError)
	if !errors.As(err, &e) {
		e = &StartError{Text: err.Error()}
		errors.As(err, &e.Errno)
	}
	b, _ := json.Marshal(e)
	return b
}

// decodeError is the parent's side of encodeError.
func decodeError(b []byte) error {
	e := new(StartError)
	if err := json.Unmarshal(b, e); err != nil {
		return fmt.Errorf("the child failed and said %q", b)
	}
	return e
}
