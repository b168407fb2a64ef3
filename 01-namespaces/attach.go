package namespaces

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Terminal joins the caller's own terminal to the master of a program's.
type Terminal struct {
	master  *os.File
	in, out *os.File
	before  *unix.Termios // of in, if that is a terminal
	resized chan os.Signal
	copied  sync.WaitGroup
}

// IsTerminal says whether f is one.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Attach puts in into raw mode, so that each key, Ctrl-C too, is the program's,
// and copies in to the master and the master to out, and the window's size
// whenever it changes. Detach ends it.
func Attach(master, in, out *os.File) (*Terminal, error) {
	t := &Terminal{master: master, in: in, out: out, resized: make(chan os.Signal, 1)}
	if now, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS); err == nil {
		t.before = now
		raw := *now
		// cfmakeraw(3)
		raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		raw.Oflag &^= unix.OPOST
		raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		if err := unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &raw); err != nil {
			return nil, fmt.Errorf("terminal: raw mode: %w", err)
		}
	}
	t.resize()
	signal.Notify(t.resized, syscall.SIGWINCH)
	go func() {
		for range t.resized {
			t.resize()
		}
	}()
	go t.keys()
	t.copied.Go(func() { io.Copy(out, master) }) // ends with EIO when the last slave is closed
	return t, nil
}

// keys copies what is typed. The end of in, which in a terminal is a character,
// becomes that character; a terminal that is gone hangs up the program's.
func (t *Terminal) keys() {
	_, err := io.Copy(t.master, t.in)
	if err == nil && t.before == nil {
		t.master.Write([]byte{4}) // Ctrl-D
		return
	}
	t.master.Close()
}

func (t *Terminal) resize() {
	size, err := unix.IoctlGetWinsize(int(t.in.Fd()), unix.TIOCGWINSZ)
	conn, connErr := t.master.SyscallConn() // Fd would make it blocking, and Detach wait
	if err == nil && connErr == nil {
		conn.Control(func(fd uintptr) { unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}

// Detach copies what the program wrote last, and restores the caller's terminal.
// A process that it left in the background may hold the slave: that is not waited for.
func (t *Terminal) Detach() {
	signal.Stop(t.resized)
	close(t.resized)
	t.master.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	t.copied.Wait()
	if t.before != nil {
		unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETSW, t.before)
	}
}
