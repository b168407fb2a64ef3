package oci

import (
	"errors"
	"fmt"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Start lets the container's process through the barrier; nil: its program runs.
func (r *Runtime) Start(id string) error {
	c, unlock, err := r.lock(id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := Allow(OpStart, c.status(true)); err != nil {
		return err
	}
	pidfd, err := c.pidfd()
	if err != nil {
		return fmt.Errorf("start container %s: %w", id, err)
	}
	defer unix.Close(pidfd)
	if err := Release(c.file("exec.fifo"), pidfd); err != nil {
		// "the runtime MUST generate an error, stop the container": it ends by itself, but maybe not yet.
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		return fmt.Errorf("start container %s: %w", id, err)
	}
	if err := os.Remove(c.file("exec.fifo")); err != nil {
		return err
	}
	r.warnHooks("poststart", c.Poststart, StateOf(*c, Running))
	return nil
}

// Kill sends a signal to the container's first process, or with all to every one.
func (r *Runtime) Kill(id string, sig unix.Signal, all bool) error {
	c, status, err := r.State(id)
	if err != nil {
		return err
	}
	allowed := Allow(OpKill, status)
	if all && status == Stopped {
		allowed = nil // what the first one left behind
	}
	if allowed != nil {
		return allowed
	}
	cg, err := loadCgroup(c.Cgroup)
	if err != nil {
		return err
	}
	if all {
		return killAll(cg, sig)
	}
	pidfd, err := c.pidfd()
	if err == nil {
		err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
		unix.Close(pidfd)
	}
	if errors.Is(err, unix.ESRCH) {
		return &OperationError{Op: OpKill, Status: Stopped}
	} else if err != nil {
		return fmt.Errorf("kill container %s: %w", id, err)
	}
	if sig == unix.SIGKILL {
		// Without a PID namespace of its own the others live on without their first; and
		// a frozen process of v1 dies only once it is thawed.
		if !c.OwnPID {
			return cg.kill()
		}
		if status == Paused {
			return cg.thaw()
		}
	}
	return nil
}

func killAll(cg cgroup, sig unix.Signal) error {
	if sig == unix.SIGKILL {
		return cg.kill()
	}
	pids, err := cg.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	return nil
}

func makes(spec *specs.Spec, kind specs.LinuxNamespaceType) bool {
	if spec.Linux != nil {
		for _, ns := range spec.Linux.Namespaces {
			if ns.Type == kind {
				return ns.Path == ""
			}
		}
	}
	return false
}

// Delete removes a container that has stopped, or with force any, and one whose
// create was killed half-way.
func (r *Runtime) Delete(id string, force bool) error {
	c, unlock, err := r.lock(id)
	if err != nil {
		return err
	}
	defer unlock()
	op := OpDelete
	if force {
		op = OpForceDelete
	}
	if err := Allow(op, c.status(true)); err != nil {
		return err
	}
	return r.destroy(c)
}

// destroy takes down what create made, in reverse, and tries every part whatever
// became of the others. The folder goes last: while it is there, delete can be repeated.
func (r *Runtime) destroy(c *Container) error {
	var errs []error
	if c.PID > 0 {
		errs = append(errs, c.end())
	}
	if cg, err := loadCgroup(c.Cgroup); err != nil {
		errs = append(errs, err)
	} else if len(c.Cgroup) > 0 {
		if err := cg.kill(); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, cg.remove())
	}
	for _, dir := range c.Planned {
		os.Remove(dir) // if it is empty
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	r.warnHooks("poststop", c.Poststop, StateOf(*c, Stopped))
	return nil
}

// end kills the first process and waits until it is dead; a child of ours is reaped.
func (c *Container) end() error {
	pidfd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(pidfd)
	start, _, err := processStart(c.PID)
	if err != nil || c.StartTime != 0 && start != c.StartTime {
		return nil // gone, and its PID is another's
	}
	for end := time.Now().Add(10 * time.Second); ; {
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		if cg, err := loadCgroup(c.Cgroup); err == nil && len(c.Cgroup) > 0 && cg.frozen() {
			cg.thaw()
		}
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds, 100); n > 0 {
			break
		} else if time.Now().After(end) {
			return fmt.Errorf("process %d of container %s does not die", c.PID, c.ID)
		}
	}
	unix.Wait4(c.PID, nil, unix.WNOHANG, nil) // ECHILD unless it is ours
	return nil
}

// do runs f on the container's cgroup, under the lock, if the status allows it.
func (r *Runtime) do(id string, op Operation, f func(cgroup) error) error {
	c, unlock, err := r.lock(id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := Allow(op, c.status(true)); err != nil {
		return err
	}
	cg, err := loadCgroup(c.Cgroup)
	if err != nil {
		return err
	}
	return f(cg)
}

// Pause freezes every process of the container, Resume thaws them.
func (r *Runtime) Pause(id string) error  { return r.do(id, OpPause, cgroup.freeze) }
func (r *Runtime) Resume(id string) error { return r.do(id, OpResume, cgroup.thaw) }

// Update changes the limits that res names and leaves the others.
func (r *Runtime) Update(id string, res *specs.LinuxResources) error {
	return r.do(id, OpUpdate, func(cg cgroup) error { return cg.set(res) })
}

// Processes lists the container's processes by their PIDs out here.
func (r *Runtime) Processes(id string) ([]int, error) {
	var pids []int
	err := r.do(id, OpProcesses, func(cg cgroup) (err error) {
		pids, err = cg.pids()
		return err
	})
	return pids, err
}

// Usage returns what the container uses.
func (r *Runtime) Usage(id string) (*Stats, error) {
	var s *Stats
	err := r.do(id, OpProcesses, func(cg cgroup) (err error) {
		s, err = cg.stats()
		return err
	})
	return s, err
}
