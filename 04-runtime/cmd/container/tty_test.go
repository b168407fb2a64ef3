package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
)

// Run in the foreground of a terminal: the container has one of its own, of the same
// size, what is typed reaches it, Ctrl-C too, and the caller's is as before afterwards.
func TestTerminal_Foreground(t *testing.T) {
	n := newNode(t)
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	check.NoError(t, "open a terminal", err)
	master := os.NewFile(uintptr(fd), "ptmx")
	defer master.Close()
	check.NoError(t, "unlock it", unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	check.NoError(t, "size it", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 99}))
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	check.Equal(t, "open its other end", unix.Errno(0), errno)
	slave := os.NewFile(peer, "slave")
	defer slave.Close()
	before, err := unix.IoctlGetTermios(int(peer), unix.TCGETS)
	check.NoError(t, "look at it", err)

	cmd := n.command("run", "--bundle", n.bundle(`readlink /proc/self/fd/0; read x; echo got $x; exec sleep 1000`, func(s *specs.Spec) { s.Process.Terminal = true }), "one")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check.NoError(t, "start run", cmd.Start())
	var said buffer
	go func() {
		b := make([]byte, 4096)
		for {
			k, err := master.Read(b)
			said.Write(b[:k])
			if err != nil {
				return
			}
		}
	}()
	has := func(what string) {
		t.Helper()
		check.Eventually(t, "container run in a terminal", what, func() bool { return strings.Contains(said.String(), what) },
			check.Often(true, "what it says: "+said.String()))
	}
	has("/dev/pts/0")
	master.WriteString("typed\r")
	has("got typed")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	check.Eventually(t, "Ctrl-C in a terminal", "the end of run", func() bool {
		master.WriteString("\x03")
		return len(ended) > 0
	})
	status := cmd.ProcessState.ExitCode()
	check.True(t, "its status", status == 128+int(unix.SIGINT) || status == 2, fmt.Sprint(status), "130") // 2: Go's end of a PID 1
	after, err := unix.IoctlGetTermios(int(peer), unix.TCGETS)
	check.NoError(t, "look at the terminal", err)
	check.Equal(t, "the terminal's modes afterwards", *before, *after)
}
