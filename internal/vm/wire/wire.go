// Package wire is what the host side of the virtual machine and its init say to each other.
//
// The job lies in the initramfs as JSON; everything after that are frames on one virtio-serial port, so that kernel
// messages, which own the console, never mix with a test's output:
//
//	+--------+-----------+--------------+---------+
//	| kind 1 | command 2 | length 4     | payload |   big endian
//	+--------+-----------+--------------+---------+
//
//	guest  Ready  (Stdout|Stderr)* Exit  …  Done         one Exit for each command, in order
//	host          (Stdin* | Resize*)                     only for a command that asked for its input
//
// A guest that cannot go on says so on its console and powers off. A frame is written with one Write, so a Writer may be
// shared by the copiers of stdout and stderr.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// PortName names the virtio-serial port; the guest finds it under /sys/class/virtio-ports.
const PortName = "coracle"

// Dir is where the guest keeps init, job and modules, in the initramfs and on the real root.
const Dir = "/.vm"

// MaxPayload bounds a frame. A longer one means that the two sides lost step.
const MaxPayload = 32 << 10

// Kind says what a frame carries.
type Kind byte

// The kinds; payloads are raw bytes for the streams, JSON for Ready and Exit.
const (
	Ready Kind = iota + 1
	Stdout
	Stderr
	Exit
	Done
	Stdin  // an empty one is the end of the input
	Resize // JSON Size
)

// Frame is one message.
type Frame struct {
	Kind    Kind
	Command uint16 // index into Job.Commands
	Payload []byte
}

// Job is what init has to do.
type Job struct {
	Root     string    `json:"root"`    // "tmpfs", or "ext4" on the first virtio disk
	Modules  []string  `json:"modules"` // loaded before the first command, besides those on demand
	Hostname string    `json:"hostname"`
	Commands []Command `json:"commands"`
}

// Command is one process, started in a cgroup of its own.
type Command struct {
	Args    []string      `json:"args"`
	Env     []string      `json:"env,omitempty"`
	Dir     string        `json:"dir,omitempty"`
	User    string        `json:"user,omitempty"` // "" is root; also "learner"
	Timeout time.Duration `json:"timeout,omitempty"`
	TTY     bool          `json:"tty,omitempty"`
	Input   bool          `json:"input,omitempty"` // Stdin frames will come
	Size    Size          `json:"size"`
}

// Size is a terminal's.
type Size struct{ Rows, Cols uint16 }

// Status is the payload of Exit.
type Status struct {
	Code    int           `json:"code"`             // 128+n when ended by signal n, 124 on time-out, 126/127 as a shell has it
	Signal  string        `json:"signal,omitempty"` // its name
	Error   string        `json:"error,omitempty"`  // why it could not be started, or that its time was over
	Elapsed time.Duration `json:"elapsed"`
}

// Boot is the payload of Ready.
type Boot struct {
	Kernel string        `json:"kernel"`
	Uptime time.Duration `json:"uptime"` // the guest kernel's own clock
}

const headerSize = 7

// Writer sends frames.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Send writes one frame, or several of the same kind when the payload is longer than MaxPayload.
func (w *Writer) Send(kind Kind, command int, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		part := payload[:min(len(payload), MaxPayload)]
		payload = payload[len(part):]
		buf := make([]byte, headerSize, headerSize+len(part))
		buf[0] = byte(kind)
		binary.BigEndian.PutUint16(buf[1:], uint16(command))
		binary.BigEndian.PutUint32(buf[3:], uint32(len(part)))
		if _, err := w.w.Write(append(buf, part...)); err != nil {
			return fmt.Errorf("send frame %d: %w", kind, err)
		}
		if len(payload) == 0 {
			return nil
		}
	}
}

// Stream returns an io.Writer whose bytes become frames of one kind.
func (w *Writer) Stream(kind Kind, command int) io.Writer { return stream{w, kind, command} }

type stream struct {
	w       *Writer
	kind    Kind
	command int
}

func (s stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.w.Send(s.kind, s.command, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read returns the next frame; io.EOF only between two frames.
func Read(r io.Reader) (Frame, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: Kind(h[0]), Command: binary.BigEndian.Uint16(h[1:])}
	n := binary.BigEndian.Uint32(h[3:])
	if f.Kind < Ready || f.Kind > Resize || n > MaxPayload {
		return Frame{}, fmt.Errorf("frame of kind %d with %d bytes: the port carries something else", f.Kind, n)
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return Frame{}, fmt.Errorf("frame of kind %d cut short: %w", f.Kind, io.ErrUnexpectedEOF)
	}
	return f, nil
}
