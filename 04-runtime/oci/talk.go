package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What the two sides say to each other over a socket, one JSON value each:
//
//	caller                          child
//	job ──────────────────────────▶
//	      ◀───────────── {"did":"mounted"}    not for exec
//	{"go":true} ──────────────────▶
//	      ◀───────────── {"did":"ready"}      it goes on to the barrier
//	      ◀───────────── end of file, for exec: the program runs
//	      ◀───────────── {"error":…}          in the place of any of these
//
// A child whose caller dies reads an end of file and ends.

// A job is all that a child needs to know.
type job struct {
	Spec     *specs.Spec  `json:"-"` // without the seccomp profile, which is Filter; for exec its process alone
	Config   *config      `json:"spec"`
	Filter   *filter      `json:"filter,omitempty"`
	State    *specs.State `json:"state,omitempty"`
	Rootfs   string       `json:"rootfs,omitempty"`
	NewUser  bool         `json:"newUser,omitempty"` // its ids have been mapped: become root there
	Exec     bool         `json:"exec,omitempty"`    // it joined a container that is all set up
	NoPivot  bool         `json:"noPivot,omitempty"`
	Keyring  string       `json:"keyring,omitempty"` // name of a new session keyring
	Listen   int          `json:"listen,omitempty"`  // $LISTEN_FDS of the program
	Fifo     int          `json:"fifo,omitempty"`    // MakeBarrier's descriptor
	Console  int          `json:"console,omitempty"` // socket that the terminal's master goes to
	Preserve int          `json:"preserve,omitempty"`
	Doors    []int        `json:"doors,omitempty"` // to the v1 groups
	Trees    map[int]int  `json:"trees,omitempty"` // sources of mounts that were opened outside
}

type told struct {
	Did   string      `json:"did,omitempty"`
	Go    bool        `json:"go,omitempty"`
	Error *ChildError `json:"error,omitempty"`
}

// A ChildError is why a container's process failed before its program ran.
type ChildError struct {
	Text  string        `json:"text"`
	Errno syscall.Errno `json:"errno,omitempty"`
}

func (e *ChildError) Error() string { return e.Text }

// Unwrap lets errors.Is(err, fs.ErrNotExist) work.
func (e *ChildError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// A line is one end of the socket.
type line struct {
	fd  int
	in  *json.Decoder
	out *os.File
}

func newLine(fd int) *line {
	return &line{fd: fd, in: json.NewDecoder(fdReader(fd)), out: os.NewFile(uintptr(fd), "sync")}
}

func (l *line) close() { l.out.Close() }

func (l *line) send(v any) error {
	b, err := json.Marshal(v)
	for err == nil && len(b) > 0 {
		var n int
		// MSG_NOSIGNAL: that the other is gone is an errno, not the end of this process.
		if n, err = unix.SendmsgN(l.fd, b, nil, nil, unix.MSG_NOSIGNAL); errors.Is(err, unix.EINTR) {
			n, err = 0, nil
		}
		b = b[max(n, 0):]
	}
	return err
}

// expect reads what the other side says next: did, or its error.
func (l *line) expect(did string) error {
	var t told
	switch err := l.in.Decode(&t); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the container's process ended before it was %s", did)
	case err != nil:
		return fmt.Errorf("read what the container's process says: %w", err)
	case t.Error != nil:
		return t.Error
	case t.Did != did:
		return fmt.Errorf("the container's process said %q, want %q", t.Did, did)
	}
	return nil
}

// ended reads until the end of file: nil if there was no error before it.
func (l *line) ended() error {
	var t told
	switch err := l.in.Decode(&t); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case t.Error != nil:
		return t.Error
	}
	return errors.New("the container's process said more than was asked")
}

// fdReader reads a descriptor without the runtime's poller, which it was not made for.
type fdReader int

func (r fdReader) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(r), b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
