package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// A typist sits at a terminal that isolate is started on.
type typist struct {
	t      *testing.T
	master *os.File
	mu     sync.Mutex
	seen   string
}

func openTerminal(t *testing.T) (p *typist, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	check.NoError(t, "open /dev/ptmx", err)
	check.NoError(t, "unlock the terminal", unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	check.NoError(t, "number of the terminal", err)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	check.NoError(t, "open the terminal", err)
	p = &typist{t: t, master: os.NewFile(uintptr(fd), "master")}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.master.Read(buf)
			p.mu.Lock()
			p.seen += string(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { p.master.Close() })
	return p, slave
}

// sees waits until the screen shows a match, and forgets all up to its end.
func (p *typist) sees(did, pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(check.Deadline); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		at := re.FindStringIndex(p.seen)
		if at != nil {
			p.seen = p.seen[at[1]:]
		}
		screen := p.seen
		p.mu.Unlock()
		if at != nil {
			return
		}
		check.True(p.t, did, time.Now().Before(end), fmt.Sprintf("%q", screen), "to see "+pattern)
	}
}

func (p *typist) types(text string) { p.master.WriteString(text) }

func (p *typist) resize(rows, cols uint16) {
	conn, _ := p.master.SyscallConn()
	conn.Control(func(fd uintptr) {
		check.NoError(p.t, "resize", unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}))
	})
}

func TestIsolate_JobControl(t *testing.T) {
	needAll(t)
	sandbox.Need(t, sandbox.Feature{Name: "a host shell with job control", Fix: "apt-get install bash", Has: func() error {
		_, err := exec.LookPath("bash")
		return err
	}})
	p, slave := openTerminal(t)
	p.resize(33, 99)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check.NoError(t, "read the terminal's mode", err)
	_, flags := hostRoot(t)
	cmd := command(append(flags, "--env", "PS1=ready> ", "--", "sh", "-c", "stty size; exec bash --norc --noprofile --noediting")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check.NoError(t, "start isolate", cmd.Start())
	p.sees("start a shell that first shows the window's size", `^33 99\r\nready> `)
	p.types("tty\n")
	p.sees("ask for the terminal's name", `\r\n/dev/pts/0\r\nready> `)
	p.resize(40, 120)
	p.types(`until [ "$(stty size)" = "40 120" ]; do :; done; echo resized` + "\n")
	p.sees("resize the window", `\r\nresized\r\nready> `)
	p.types("sleep 1000\n")
	inForeground(t, "sleep")
	p.types("\x1a")
	p.sees("press Ctrl-Z", `Stopped.*\r\nready> `)
	p.types("fg\n")
	inForeground(t, "sleep")
	p.types("\x03")
	p.sees("press Ctrl-C", "ready> ")
	p.types("echo status $?\n")
	p.sees("ask for the status", `\r\nstatus 130\r\nready> `)
	p.types("exit 3\n")
	check.Within(t, "type exit 3", "isolate to end", func() (struct{}, error) { return struct{}{}, cmd.Wait() })
	check.Equal(t, "its status", 3, cmd.ProcessState.ExitCode())
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check.NoError(t, "read the terminal's mode", err)
	check.Equal(t, "the terminal's mode after isolate", *before, *after)
}

// inForeground waits until a process of that name sleeps and owns its terminal:
// what is typed before that is the shell's.
func inForeground(t *testing.T, comm string) {
	t.Helper()
	check.Eventually(t, "start "+comm, "it to run in the foreground", func() bool {
		procs, _ := os.ReadDir("/proc")
		for _, d := range procs {
			stat, _ := os.ReadFile("/proc/" + d.Name() + "/stat")
			// pid (comm) state ppid pgrp session tty tpgid
			_, rest, ok := strings.Cut(string(stat), "("+comm+") ")
			if f := strings.Fields(rest); ok && f[0] == "S" && f[2] == f[5] {
				return true
			}
		}
		return false
	})
}

// The end of the input, which is no terminal, is typed; what is written last arrives.
func TestIsolate_TerminalWithoutOne(t *testing.T) {
	needAll(t)
	_, flags := hostRoot(t)
	out, errs, status := isolated(t, sh(append(flags, "--tty"), `test -t 0 && read x && echo "$x" && cat && seq 1000 && exit 4`)...)
	check.Equal(t, "the status of a shell that saw its input end", 4, status)
	check.True(t, "what it wrote", strings.HasSuffix(out, "\r\n999\r\n1000\r\n") && errs == "", out+errs, "everything to the line 1000")
}
