package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// On a terminal each layer has a bar, in a pipe a line for each thing that is done.
func TestImage_Progress(t *testing.T) {
	need(t)
	u := newUser(t)
	u.builds("demo:1")
	file := t.TempDir() + "/demo.tar"
	_, errs, _ := u.calls("save", "-o", file, "demo:1")
	check.True(t, "save in a pipe", regexp.MustCompile(`^[0-9a-f]{12} save \d+ B\n[0-9a-f]{12} ready \d+ B\n`).MatchString(errs) && strings.Count(errs, "\n") == 4, errs, "two lines for each of two layers")
	_, errs, _ = newUser(t).calls("load", "-i", file)
	check.True(t, "load in a pipe", strings.Count(errs, " ready ") == 2 && !strings.Contains(errs, "\x1b"), errs, "a line for each layer, and no escape sequence")

	screen, slave := terminal(t)
	cmd := newUser(t).command("load", "-i", file)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stderr = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check.NoError(t, "load on a terminal", ends(t, cmd))
	slave.Close()
	bars := regexp.MustCompile(`[0-9a-f]{12} ready +\[=+`)
	check.True(t, "load on a terminal", len(bars.FindAllString(screen(), -1)) >= 2, fmt.Sprintf("%q", screen()), "a full bar for each layer")
}

// terminal opens a terminal of 100 columns, and what will have been written to it
// once it is closed.
func terminal(t *testing.T) (screen func() string, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	check.NoError(t, "open /dev/ptmx", err)
	check.NoError(t, "unlock the terminal", unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	check.NoError(t, "number of the terminal", err)
	check.NoError(t, "set its size", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	check.NoError(t, "open the terminal", err)
	master := os.NewFile(uintptr(fd), "master")
	var seen strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			seen.Write(buf[:n])
			if err != nil { // EIO: nobody has it open any more
				return
			}
		}
	}()
	return sync.OnceValue(func() string {
		<-done
		master.Close()
		return seen.String()
	}), slave
}
