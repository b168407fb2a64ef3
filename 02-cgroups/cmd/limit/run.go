package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	cgroups "coracle/02-cgroups"
	v1 "coracle/02-cgroups/v1"
	"coracle/internal/hostgroup"
)

// A group is what limit needs of one, of either version.
type group interface {
	Start(cmd *exec.Cmd) error
	Sample(at time.Time) (cgroups.Sample, error)
	OOMKills() (uint64, error)
	Kill(ctx context.Context) error
	Remove() error
}

func newGroup(l cgroups.Limits) (group, error) {
	name := hostgroup.Name("limit")
	needed := l.Controllers()
	if len(needed) == 0 {
		needed = []string{"cpu", "memory", "pids"} // for --stats
	}
	if v1.Serves(needed) {
		return v1.New(name, l)
	}
	return newV2(name, l)
}

// run runs the command in a group and returns its exit status.
func run(o *options) (status int, err error) {
	path, err := exec.LookPath(o.command[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return 0, &commandError{err}
	}
	g, err := newGroup(o.limits)
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err2 := errors.Join(g.Kill(ctx), g.Remove()); err == nil && err2 != nil {
			fmt.Fprintln(os.Stderr, "limit: not all was put back:", strings.ReplaceAll(err2.Error(), "\n", "; "))
		}
	}()
	cmd := &exec.Cmd{Path: path, Args: o.command, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 16)
	// Before the command runs, or a signal in between would end limit and leave the group.
	for _, s := range forwarded {
		if !signal.Ignored(s) { // as nohup has it, which is meant for the command
			signal.Notify(signals, s)
		}
	}
	begin := time.Now()
	if err := g.Start(cmd); err != nil {
		return 0, startError(err)
	}
	go forward(signals, cmd.Process)
	stop := watch(g, o, begin)
	cmd.Wait() // how it ended is in its state
	stop()
	return verdict(g, o, cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// verdict returns the exit status, and says so if it was the OOM killer.
func verdict(g group, o *options, ws syscall.WaitStatus) int {
	kills, err := g.OOMKills()
	if err != nil {
		fmt.Fprintln(os.Stderr, "limit: whether it was the OOM killer is not known:", err)
	}
	switch {
	case cgroups.OOMKilled(ws, map[string]uint64{"oom_kill": kills}):
		fmt.Fprintf(os.Stderr, "limit: OOM: %s was killed because its group reached %s of memory\n", o.command[0], o.memory())
	case kills > 0:
		fmt.Fprintf(os.Stderr, "limit: OOM: %s lost %d of its processes to the OOM killer (%s)\n", o.command[0], kills, o.memory())
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func (o *options) memory() string {
	if o.shown[0] == "" {
		return "a limit above its own"
	}
	return "--memory " + o.shown[0]
}

// forwarded are the signals that somebody sends to a program on purpose.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
}

// forward passes signals on, but not those that a terminal's keys have sent: the
// command is in the same process group and has got them itself.
func forward(signals <-chan os.Signal, p *os.Process) {
	for s := range signals {
		if (s == syscall.SIGINT || s == syscall.SIGQUIT) && inForeground() {
			continue
		}
		p.Signal(s)
	}
}

func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	pgrp, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}
