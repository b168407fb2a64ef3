package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/vm/wire"
)

// agent runs the commands one after another. It returns only when the host is gone or all is done; then PID 1 powers
// the machine off, unless the host, which needs nothing more from it, was quicker.
func agent() error {
	job, err := readJob()
	if err != nil {
		return err
	}
	path, err := findPort()
	if err != nil {
		return err
	}
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	out := wire.NewWriter(port)
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	in := newInputs(job.Commands)
	go in.route(port)
	if err := send(out, wire.Ready, 0, boot()); err != nil {
		return err
	}
	for i, c := range job.Commands {
		start := time.Now()
		status := run(out, in, i, c)
		status.Elapsed = time.Since(start)
		if err := send(out, wire.Exit, i, status); err != nil {
			return err
		}
	}
	return out.Send(wire.Done, 0, nil)
}

func send(out *wire.Writer, kind wire.Kind, command int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return out.Send(kind, command, text)
}

func boot() wire.Boot {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) //nolint:errcheck // cannot fail
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return wire.Boot{Kernel: strings.TrimSpace(string(release)), Uptime: time.Duration(now.Nano())}
}

// findPort waits for the host to announce the port by name, which happens over a queue of its own.
func findPort() (string, error) {
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(2 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, name := range names {
			if text, _ := os.ReadFile(name); strings.TrimSpace(string(text)) == wire.PortName {
				dev := "/dev/" + filepath.Base(filepath.Dir(name))
				return dev, await(dev)
			}
		}
	}
	return "", errors.New("no virtio-serial port within 10 s: has this kernel virtio_console?")
}

// run starts one command in a group of its own, waits, and ends whatever it left in there: a background process would
// otherwise hold the pipes open and disturb the next command.
func run(out *wire.Writer, in *inputs, i int, c wire.Command) (status wire.Status) {
	uid := 0
	if c.User == "learner" {
		uid = learner
	}
	group, fd, err := newGroup(fmt.Sprintf("%s.%d", name(uid), i), uid)
	if err != nil {
		return wire.Status{Code: 126, Error: err.Error()}
	}
	defer fd.Close()
	defer endGroup(group)
	s, err := openStreams(c, uid, in.reader(i))
	if err != nil {
		return wire.Status{Code: 126, Error: err.Error()}
	}
	in.terminal(s.master)
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = home(uid)
	}
	cmd.Env = append(environment(uid), c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.stdin, s.stdout, s.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: c.TTY, UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	if uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), Groups: []uint32{}}
	}
	err = cmd.Start()
	s.closeGiven()
	if err != nil {
		s.close()
		in.close(i)
		return notStarted(err)
	}
	go s.typing()
	var copies sync.WaitGroup
	copies.Go(func() { io.Copy(out.Stream(wire.Stdout, i), s.fromStdout) }) //nolint:errcheck // a terminal ends in EIO
	if s.fromStderr != nil {
		copies.Go(func() { io.Copy(out.Stream(wire.Stderr, i), s.fromStderr) }) //nolint:errcheck // same
	}
	over := make(chan struct{})
	if c.Timeout > 0 {
		timer := time.AfterFunc(c.Timeout, func() { close(over); killGroup(group) })
		defer timer.Stop()
	}
	err = cmd.Wait()
	killGroup(group)
	in.close(i)
	copies.Wait()
	s.close()
	select {
	case <-over:
		return wire.Status{Code: 124, Signal: "SIGKILL", Error: fmt.Sprintf("its time (%v) was over", c.Timeout)}
	default:
		return ended(cmd.ProcessState, err)
	}
}

func ended(state *os.ProcessState, err error) wire.Status {
	w, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return wire.Status{Code: 126, Error: fmt.Sprint(err)}
	case w.Signaled():
		return wire.Status{Code: 128 + int(w.Signal()), Signal: unix.SignalName(w.Signal())}
	}
	return wire.Status{Code: w.ExitStatus()}
}

func notStarted(err error) wire.Status {
	var path *fs.PathError
	if errors.As(err, &path) {
		if _, statErr := os.Stat(path.Path); statErr == nil && errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: it is there, so its loader, its interpreter or its directory is not; build it with CGO_ENABLED=0", err)
		}
	}
	code := 126
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		code = 127
	}
	return wire.Status{Code: code, Error: err.Error()}
}

func name(uid int) string {
	if uid == learner {
		return "learner"
	}
	return "root"
}

func home(uid int) string {
	if uid == learner {
		return "/home/learner"
	}
	return "/root"
}

func environment(uid int) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home(uid), "USER=" + name(uid), "LOGNAME=" + name(uid), "TERM=linux",
		"XDG_RUNTIME_DIR=/run/user/" + fmt.Sprint(uid)}
}
