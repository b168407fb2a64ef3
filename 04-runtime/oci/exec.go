package oci

import (
	"errors"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
)

// Exec runs one more process in a container and returns its PID once its program
// runs; it is a child of the caller. Of o the bundle is not looked at.
//
// The process joins every namespace of the container's first process and its cgroup
// before any of the container's own code can run in it.
func (r *Runtime) Exec(id string, p *specs.Process, o Options) (pid int, err error) {
	c, status, err := r.State(id)
	if err != nil {
		return 0, err
	}
	if err := Allow(OpExec, status); err != nil {
		return 0, err
	}
	if err := checkProcess(p); err != nil {
		return 0, err
	}
	if p.Terminal != (o.Console != nil) {
		return 0, errors.New("a terminal and a console socket go together: give both or neither")
	}
	spec, err := c.spec()
	if err != nil {
		return 0, err
	}
	j := job{Exec: true, Preserve: o.Preserve, Listen: o.Listen}
	if spec.Linux != nil {
		if j.Filter, err = compileSeccomp(spec.Linux.Seccomp); err != nil {
			return 0, err
		}
	}
	ch := &child{stdio: o.Stdio, preserve: o.Preserve}
	defer ch.close()
	cg, err := loadCgroup(c.Cgroup)
	if err != nil {
		return 0, err
	}
	pidfd, err := c.pidfd()
	if err != nil {
		return 0, &OperationError{Op: OpExec, Status: Stopped}
	}
	defer unix.Close(pidfd)
	for _, k := range kinds {
		if path := fmt.Sprintf("/proc/%d/ns/%s", c.PID, k.kind); exists(path) {
			ch.join = append(ch.join, namespaces.Namespace{Type: k.kind, Path: path})
		}
	}
	inside := *p
	j.Spec, j.Config = &specs.Spec{Process: &inside}, &config{Process: &inside}
	inside.Rlimits = withNofile(c.PID, p.Rlimits)

	one := *c // launch notes the PID of the new one in it
	l, err := r.launch(&one, ch, cg, &j, o)
	if err != nil {
		return 0, err
	}
	defer l.close()
	if err := r.exec(&one, l, j); err != nil {
		unix.Kill(one.PID, unix.SIGKILL)
		var ws unix.WaitStatus
		unix.Wait4(one.PID, &ws, 0, nil)
		return 0, err
	}
	return one.PID, writePID(o.PIDFile, one.PID)
}

func (r *Runtime) exec(c *Container, l *line, j job) error {
	if err := limitProcess(c.PID, j.Spec.Process); err != nil {
		return err
	}
	sent := l.send(j)
	if err := l.expect("ready"); err != nil {
		return errors.Join(err, sent)
	}
	return l.ended()
}

// withNofile adds the limit of open files that the container's first process has, if
// there is none: what we have here was raised by Go.
func withNofile(pid int, limits []specs.POSIXRlimit) []specs.POSIXRlimit {
	var have unix.Rlimit
	for _, l := range limits {
		if l.Type == "RLIMIT_NOFILE" {
			return limits
		}
	}
	if unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &have) != nil {
		return limits
	}
	return append(limits[:len(limits):len(limits)], specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Hard: have.Max, Soft: have.Cur})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
