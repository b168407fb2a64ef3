package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"coracle/internal/vm/wire"
)

// streams are a command's three files and our ends of them.
type streams struct {
	stdin, stdout, stderr  *os.File
	fromStdout, fromStderr *os.File
	master, typed          *os.File // the terminal's, or nil, and what is typed into it
}

// typing passes the input on to the terminal, where an end of it is a Ctrl-D.
func (s *streams) typing() {
	if s.typed != nil {
		io.Copy(s.master, s.typed) //nolint:errcheck // the command is gone
		s.master.Write([]byte{4})  //nolint:errcheck // same
	}
}

func openStreams(c wire.Command, uid int, stdin *os.File) (s *streams, err error) {
	s = &streams{}
	if c.TTY {
		s.typed = stdin
		if s.master, s.stdin, err = openTerminal(uid, c.Size); err != nil {
			return nil, fmt.Errorf("terminal: %w", err)
		}
		s.stdout, s.stderr, s.fromStdout = s.stdin, s.stdin, s.master
		return s, nil
	}
	if s.stdin = stdin; stdin == nil {
		if s.stdin, err = os.Open(os.DevNull); err != nil {
			return nil, err
		}
	}
	if s.fromStdout, s.stdout, err = os.Pipe(); err != nil {
		return nil, err
	}
	s.fromStderr, s.stderr, err = os.Pipe()
	return s, err
}

func (s *streams) closeGiven() { s.stdin.Close(); s.stdout.Close(); s.stderr.Close() }

func (s *streams) close() {
	s.fromStdout.Close()
	if s.fromStderr != nil {
		s.fromStderr.Close()
	}
}

// openTerminal makes a pair as posix_openpt(3), grantpt(3) and unlockpt(3) do.
func openTerminal(uid int, size wire.Size) (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/pts/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	fd := int(master.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	resize(master, size)
	path := fmt.Sprintf("/dev/pts/%d", n)
	if err = os.Chown(path, uid, 5); err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

func resize(master *os.File, size wire.Size) {
	if size.Rows > 0 {
		unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols}) //nolint:errcheck // cosmetic
	}
}

// inputs carries Stdin frames to the commands. A pipe is made for each command beforehand, because its first bytes may
// be here before its process.
type inputs struct {
	pipes map[int][2]*os.File // what the command reads, what we write

	mu     sync.Mutex
	master *os.File // of the command that runs, when it has a terminal
}

func newInputs(commands []wire.Command) *inputs {
	in := &inputs{pipes: map[int][2]*os.File{}}
	for i, c := range commands {
		if !c.Input {
			continue
		}
		if r, w, err := os.Pipe(); err == nil {
			in.pipes[i] = [2]*os.File{r, w}
		}
	}
	return in
}

func (in *inputs) reader(i int) *os.File { return in.pipes[i][0] }

func (in *inputs) terminal(master *os.File) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.master = master
}

// close is for the end of a command: a write that nobody will read returns.
func (in *inputs) close(i int) {
	in.terminal(nil)
	if p, ok := in.pipes[i]; ok {
		p[0].Close()
		p[1].Close()
	}
}

// route is the port's only reader.
func (in *inputs) route(port io.Reader) {
	for {
		f, err := wire.Read(port)
		if err != nil {
			return
		}
		in.mu.Lock()
		master := in.master
		in.mu.Unlock()
		to := in.pipes[int(f.Command)][1]
		switch {
		case f.Kind == wire.Resize && master != nil:
			var size wire.Size
			if json.Unmarshal(f.Payload, &size) == nil {
				resize(master, size)
			}
		case f.Kind != wire.Stdin:
		case to == nil:
		case len(f.Payload) == 0:
			to.Close()
		default:
			to.Write(f.Payload) //nolint:errcheck // same
		}
	}
}
