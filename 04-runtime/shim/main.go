package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	cgroups "coracle/02-cgroups"
	"coracle/04-runtime/oci"
)

// Readiness is the descriptor over which a shim says "ok" once its container is created,
// or why it is not.
const readiness = 3

// Main is the shim: `coracle-runtime shim DIR`. Start starts it.
func Main(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "shim: the agent starts it: shim DIR")
		return 2
	}
	ready := os.NewFile(readiness, "readiness")
	unix.CloseOnExec(readiness)
	s := &shim{execs: map[int]chan unix.WaitStatus{}, exited: make(chan struct{}), done: make(chan struct{})}
	if err := s.begin(args[0]); err != nil {
		s.state.Error = err.Error()
		s.save()
		fmt.Fprint(ready, err)
		return 1
	}
	fmt.Fprint(ready, "ok")
	ready.Close()
	s.run()
	return 0
}

// A shim is the process's one.
type shim struct {
	Config
	rt     *oci.Runtime
	groups map[string]string // the container's: oci.Container.Cgroup
	stdio  *stdio
	listen *listener

	// calls is held during a call of package oci that makes processes, and while
	// children are waited for: see reap. It guards execs, and that the PID of a child
	// which is in there is its own.
	calls  sync.Mutex
	child  int
	execs  map[int]chan unix.WaitStatus
	exited chan struct{} // closed when the child's end is known

	mu    sync.Mutex
	state State
	done  chan struct{} // closed when state says how the container ended and its log is complete

	conns sync.WaitGroup
}

// begin does all that can fail, and creates the container.
func (s *shim) begin(dir string) error {
	// Paths from here on are relative: a socket's must not be longer than 107 bytes (unix(7)).
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := lockFolder(); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	s.state = State{Shim: ProcessOf(os.Getpid())}
	if err := readJSON(".", configFile, &s.Config); err != nil {
		return err
	}
	s.rt = &oci.Runtime{Root: s.Root, Warn: func(msg string) { fmt.Fprintln(os.Stderr, msg) }}
	if err := errors.Join(adopt(), Save(".", s.state)); err != nil {
		return err
	}
	var err error
	if s.listen, err = listen(socketFile); err != nil {
		return err
	}
	if s.stdio, err = newStdio(s.Config); err != nil {
		return err
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	c, err := s.rt.Create(s.ID, oci.Options{Bundle: ".", Stdio: s.stdio.child, Console: s.stdio.console})
	if err != nil {
		return err
	}
	s.child, s.groups = c.PID, c.Cgroup
	s.state.Container, s.state.CreatedAt = Process{c.PID, c.StartTime}, time.Now().UTC()
	if err := errors.Join(s.stdio.begin(), Save(".", s.state)); err != nil {
		return errors.Join(err, s.rt.Delete(s.ID, true))
	}
	return nil
}

// lockFolder keeps a second shim out.
func lockFolder() error {
	fd, err := unix.Open(".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("this container has a shim already")
	}
	return err
}

// run serves until the container has ended.
func (s *shim) run() {
	// Caught, not ignored: what is ignored stays so in the programs that are started from here.
	signals := make(chan os.Signal, 1)
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE)
	signal.Notify(signals, unix.SIGCHLD)
	go s.listen.serve(&s.conns, s.serve)
	shed()
	go func() {
		for {
			s.reap()
			<-signals
		}
	}()
	<-s.exited
	s.finish()
	s.listen.close()
	s.conns.Wait()
}

// ended notes how a child ended; calls is held.
func (s *shim) ended(pid int, ws unix.WaitStatus) {
	if ch, ok := s.execs[pid]; ok {
		ch <- ws
		delete(s.execs, pid)
	}
	if pid != s.child {
		return // an orphan of the container's
	}
	defer close(s.exited)
	s.mu.Lock()
	s.state.Exited, s.state.FinishedAt = true, time.Now().UTC()
	s.state.ExitCode, s.state.Signal = Exit(ws)
	s.state.OOM = cgroups.OOMKilled(syscall.WaitStatus(ws), s.memoryEvents())
	s.mu.Unlock()
	s.save()
}

// save writes the state down. There is nobody to tell if that fails, but the socket
// still has it: the shim must not end over it.
func (s *shim) save() {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if err := Save(".", state); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// memoryEvents is what the container's group counts of the OOM killer.
func (s *shim) memoryEvents() map[string]uint64 {
	for _, file := range []string{s.groups["memory"] + "/memory.oom_control", s.groups[""] + "/memory.events"} {
		if b, err := os.ReadFile(file); err == nil && strings.HasPrefix(file, "/sys") {
			if events, err := cgroups.ParseKeyed(string(b)); err == nil {
				return events
			}
		}
	}
	return nil
}

// drainTime is how long output may still come from processes that outlived the
// container's first and are in no group of its own.
const drainTime = 2 * time.Second

// finish ends what the container left and completes its log.
func (s *shim) finish() {
	// Without a PID namespace of its own, others live on and hold the pipes.
	if len(s.groups) > 0 {
		if err := s.rt.Kill(s.ID, unix.SIGKILL, true); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	s.calls.Lock()
	for pid := range s.execs {
		unix.Kill(pid, unix.SIGKILL)
	}
	s.calls.Unlock()
	s.stdio.finish(drainTime)
	os.Remove(socketFile)
	close(s.done)
}

// current is the state as it is shown: a container has exited when its log is complete.
func (s *shim) current() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := s.state
	select {
	case <-s.done:
	default:
		shown.Exited = false
	}
	return shown
}

func marshal(v any) []byte {
	b, _ := json.Marshal(v) // of our own types
	return append(b, '\n')
}
