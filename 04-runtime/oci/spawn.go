package oci

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

// kinds are the spec's names of namespaces in chapter 1's words, which are /proc's.
var kinds = map[specs.LinuxNamespaceType]struct {
	kind namespaces.Type
	flag uintptr
}{
	specs.PIDNamespace: {namespaces.PID, unix.CLONE_NEWPID}, specs.NetworkNamespace: {namespaces.Net, unix.CLONE_NEWNET},
	specs.MountNamespace: {namespaces.Mnt, unix.CLONE_NEWNS}, specs.IPCNamespace: {namespaces.IPC, unix.CLONE_NEWIPC},
	specs.UTSNamespace: {namespaces.UTS, unix.CLONE_NEWUTS}, specs.UserNamespace: {namespaces.UserNS, unix.CLONE_NEWUSER},
	specs.CgroupNamespace: {namespaces.Cgroup, unix.CLONE_NEWCGROUP}, specs.TimeNamespace: {namespaces.Time, unix.CLONE_NEWTIME},
}

// A child is a process to be started: this binary, which will call Init.
type child struct {
	stdio    [3]*os.File // nil: ours
	preserve int         // our descriptors from 3 on that it gets as well
	socket   *os.File    // what comes after those
	extra    []*os.File  // and then
	ours     []*os.File  // of these, to be closed
	birth    *os.File    // the v2 group to be born in; may be nil
	join     []namespaces.Namespace
	flags    uintptr // of clone(2): the new namespaces
	time     map[string]specs.LinuxTimeOffset
	newTime  bool
}

// lend passes a file on and returns the number that the child knows it by; give is
// lend for one that is closed with the child's other files.
func (c *child) lend(f *os.File) int {
	c.extra = append(c.extra, f)
	return 3 + c.preserve + len(c.extra)
}

func (c *child) give(f *os.File) int {
	c.ours = append(c.ours, f)
	return c.lend(f)
}

// close closes our copies of what the child got.
func (c *child) close() {
	for _, f := range append(c.ours, c.socket, c.birth) {
		f.Close() // nil, or closed before, is an error that does no harm
	}
}

// planNamespaces sorts the spec's namespaces into those to make and those to join. A
// new cgroup namespace is the child's to make, once it is in its group: the group it is
// in then becomes the root that it sees (cgroup_namespaces(7)).
func (c *child) planNamespaces(l *specs.Linux) {
	for _, ns := range l.Namespaces {
		k := kinds[ns.Type]
		switch {
		case ns.Path != "":
			c.join = append(c.join, namespaces.Namespace{Type: k.kind, Path: ns.Path})
		case ns.Type == specs.TimeNamespace:
			c.newTime, c.time = true, l.TimeOffsets
		case ns.Type != specs.CgroupNamespace:
			c.flags |= k.flag
		}
	}
}

// start starts it in its namespaces, and returns its PID.
//
// Go's own fork is the fast one, but it cannot help two cases: setns(2) refuses a
// user namespace to a process with threads, and in another's mount namespace no path
// leads to our binary. The raw child of chapter 1 can.
func (c *child) start(exe *os.File) (pid int, err error) {
	files := c.files()
	argv := []string{initName, strconv.Itoa(3 + c.preserve)}
	if c.flags&unix.CLONE_NEWUSER != 0 {
		argv = append(argv, mapped)
	}
	joins := func(kind namespaces.Type) bool {
		return slices.ContainsFunc(c.join, func(ns namespaces.Namespace) bool { return ns.Type == kind })
	}
	steps, err := namespaces.Join(c.join)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, s := range steps {
			s.File.Close()
		}
	}()
	if raw := joins(namespaces.UserNS) || joins(namespaces.Mnt) || c.newTime; raw {
		if c.flags&unix.CLONE_NEWUSER != 0 {
			return 0, errors.New("a new user namespace cannot be had together with a joined mount or a new time namespace")
		}
		pid, err := c.startRaw(steps, exe, argv, files)
		if err == nil && c.birth != nil { // it waits for its job, so it can still be moved
			if err = joinUnified(c.birth, pid); err != nil {
				unix.Kill(pid, unix.SIGKILL)
				unix.Wait4(pid, nil, 0, nil)
			}
		}
		return pid, err
	}
	type result struct {
		pid int
		err error
	}
	done := make(chan result)
	go func() {
		// The thread is in the container's namespaces then: it is locked, and ends.
		runtime.LockOSThread()
		for _, s := range steps {
			if s.Do != namespaces.SetNS {
				continue // Go's fork is one
			}
			if err := unix.Setns(int(s.File.Fd()), 0); err != nil {
				done <- result{err: fmt.Errorf("%s: %w", s, err)}
				return
			}
		}
		attr := &syscall.SysProcAttr{Cloneflags: c.flags}
		if c.birth != nil {
			attr.UseCgroupFD, attr.CgroupFD = true, int(c.birth.Fd())
		}
		if c.flags&unix.CLONE_NEWUSER != 0 {
			attr.AmbientCaps = namespaces.AllCaps() // survive its execve, before its ids are mapped
		}
		fds := make([]uintptr, len(files))
		for i, f := range files {
			fds[i] = f.Fd()
		}
		high, err := unix.FcntlInt(exe.Fd(), unix.F_DUPFD_CLOEXEC, len(fds)+16) // not one that the child's own take
		if err != nil {
			done <- result{err: err}
			return
		}
		defer unix.Close(high)
		pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", high), argv, &syscall.ProcAttr{Env: initEnv, Files: fds, Sys: attr})
		done <- result{pid, err}
	}()
	r := <-done
	if r.err != nil {
		return 0, c.explain(r.err)
	}
	return r.pid, nil
}

// startRaw starts it by chapter 1's raw child.
func (c *child) startRaw(steps []namespaces.Step, exe *os.File, argv []string, files []*os.File) (pid int, err error) {
	fork := slices.ContainsFunc(steps, func(s namespaces.Step) bool { return s.Do == namespaces.Fork })
	if c.flags != 0 {
		steps = append(slices.Clip(steps), namespaces.Unshare(c.flags))
		if c.flags&unix.CLONE_NEWPID != 0 && !fork {
			steps = append(steps, namespaces.Step{Do: namespaces.Fork})
		}
	}
	if !c.newTime {
		return namespaces.Launch(steps, exe, argv, initEnv, files)
	}
	// The clocks are set before the first process is born in the namespace, by who made it (time_namespaces(7)).
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWTIME); err != nil {
			err = fmt.Errorf("make a time namespace: %w", err)
			return
		}
		var text strings.Builder
		for clock, o := range c.time {
			fmt.Fprintf(&text, "%s %d %d\n", clock, o.Secs, o.Nanosecs)
		}
		if text.Len() > 0 {
			// By the thread's id: /proc/self is the first thread, and /proc/thread-self lacks the file.
			if err = os.WriteFile(fmt.Sprintf("/proc/%d/timens_offsets", unix.Gettid()), []byte(text.String()), 0); err != nil {
				err = fmt.Errorf("time offsets: %w", err)
				return
			}
		}
		pid, err = namespaces.Launch(steps, exe, argv, initEnv, files)
	}()
	<-done
	return pid, err
}

// files are the descriptors of the child from 0 on.
func (c *child) files() []*os.File {
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i, f := range c.stdio {
		if f != nil {
			files[i] = f
		}
	}
	for fd := range c.preserve {
		files = append(files, os.NewFile(uintptr(3+fd), fmt.Sprintf("descriptor %d", 3+fd)))
	}
	return append(append(files, c.socket), c.extra...)
}

// explain words the error of clone(2), one errno for many reasons.
func (c *child) explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM) && c.flags&unix.CLONE_NEWUSER == 0:
		return fmt.Errorf("make namespaces: %w: be root, or add a user namespace to the bundle's config.json (spec --rootless)", err)
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS):
		return fmt.Errorf("make namespaces: %w: a limit in /proc/sys/user/max_*_namespaces is reached", err)
	}
	return fmt.Errorf("start the container's process: %w", err)
}

// mapIDs gives the new user namespace of pid its ids.
func mapIDs(pid int, l *specs.Linux) error {
	convert := func(from []specs.LinuxIDMapping) (to []namespaces.IDMap) {
		for _, m := range from {
			to = append(to, namespaces.IDMap{Container: int(m.ContainerID), Host: int(m.HostID), Size: int(m.Size)})
		}
		return to
	}
	if err := namespaces.MapIDs(pid, convert(l.UIDMappings), convert(l.GIDMappings)); err != nil {
		return fmt.Errorf("user namespace: %w", err)
	}
	return nil
}

// joinUnified moves a process that was not born in a group of v2 into it.
func joinUnified(group *os.File, pid int) error {
	fd, err := unix.Openat(int(group.Fd()), "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, strconv.AppendInt(nil, int64(pid), 10))
		unix.Close(fd)
	}
	return wrap("join "+group.Name(), err)
}
