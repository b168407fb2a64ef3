package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Options are what a caller says besides the bundle.
type Options struct {
	Bundle    string      // folder with config.json
	Stdio     [3]*os.File // of the container's process; nil: the caller's own
	Console   *os.File    // socket that a terminal's master is sent to; needed if process.terminal
	PIDFile   string
	NoPivot   bool
	NoKeyring bool
	Preserve  int // the caller's descriptors 3 … 3+Preserve-1 go to the process as well
	Listen    int // how many of these are $LISTEN_FDS (sd_listen_fds(3))
}

// Create makes the container up to the barrier. When it returns an error nothing is
// left; poststop hooks have run if anything had been made.
func (r *Runtime) Create(id string, o Options) (*Container, error) {
	dir, err := r.dir(id)
	if err != nil {
		return nil, err
	}
	c := &Container{ID: id, CreatedAt: time.Now().UTC(), Owner: os.Geteuid(), Rootless: rootless(), dir: dir}
	if c.Bundle, err = filepath.Abs(o.Bundle); err != nil {
		return nil, err
	}
	spec, raw, err := readBundle(c.Bundle)
	if err != nil {
		return nil, err
	}
	if err := c.check(spec, o); err != nil {
		return nil, err
	}
	c.Annotations, c.OwnPID = spec.Annotations, makes(spec, specs.PIDNamespace)
	if h := spec.Hooks; h != nil {
		c.Poststart, c.Poststop = h.Poststart, h.Poststop
	}
	if err := os.MkdirAll(r.Root, 0o700); err != nil {
		return nil, fmt.Errorf("%w; choose another folder with --root", err)
	}
	if err := trusted(r.Root); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("container with id %s exists already: delete it, or choose another id", id)
	} else if err != nil {
		return nil, err
	}
	unlock, err := flock(dir, unix.LOCK_EX)
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	defer unlock()
	if err := os.WriteFile(c.file("config.json"), raw, 0o600); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := r.create(c, spec, o); err != nil {
		return nil, errors.Join(err, r.destroy(c))
	}
	return c, nil
}

// create follows the drawing in doc.go.
func (r *Runtime) create(c *Container, spec *specs.Spec, o Options) error {
	cg, err := newCgroup(spec, c.ID, c.Rootless)
	if err != nil {
		return err
	}
	// A create that is killed from here on leaves what delete needs. What is in a group
	// may be killed once it is known to be ours, and not before.
	c.Planned = cg.paths()
	if err := c.save(); err != nil {
		return err
	}
	err = cg.make()
	c.Planned = nil
	if err != nil {
		return err
	}
	c.Cgroup = cg.paths()
	if err := c.save(); err != nil {
		return err
	}
	ch := &child{stdio: o.Stdio, preserve: o.Preserve}
	defer ch.close()
	ch.planNamespaces(spec.Linux)
	j := job{Rootfs: c.Rootfs, NoPivot: o.NoPivot, Preserve: o.Preserve, Listen: o.Listen, Trees: map[int]int{}}
	j.NewUser = ch.flags&unix.CLONE_NEWUSER != 0
	fifo, err := MakeBarrier(c.file("exec.fifo"))
	if err != nil {
		return err
	}
	j.Fifo = ch.give(fifo)
	trees, err := openTrees(spec, c.Rootless)
	for i, f := range trees {
		j.Trees[i] = ch.give(f)
	}
	if err != nil {
		return err
	}
	l, err := r.launch(c, ch, cg, &j, o)
	if err != nil {
		return err
	}
	defer l.close()
	if c.StartTime, _, err = processStart(c.PID); err != nil {
		return err
	}
	// The child has no job yet: it ends if we do. Later it may not, and by its group it
	// can be found; without one it must be by its PID.
	if len(c.Cgroup) == 0 {
		if err := c.save(); err != nil {
			return err
		}
	}
	if j.NewUser {
		if err := mapIDs(c.PID, spec.Linux); err != nil {
			return err
		}
	}
	if spec.Process != nil {
		if err := limitProcess(c.PID, spec.Process); err != nil {
			return err
		}
	}
	if !o.NoKeyring {
		j.Keyring = "_ses." + c.ID
	}
	if err := r.setUp(c, spec, l, j); err != nil {
		return err
	}
	c.Done = true
	if err := c.save(); err != nil {
		return err
	}
	return writePID(o.PIDFile, c.PID)
}

// launch starts a process in the container's groups and notes its PID in c; it returns
// our end of the socket.
func (r *Runtime) launch(c *Container, ch *child, cg cgroup, j *job, o Options) (*line, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	l := newLine(fds[0])
	ch.socket = os.NewFile(uintptr(fds[1]), "sync")
	if o.Console != nil {
		j.Console = ch.lend(o.Console)
	}
	doors, err := cg.doors()
	for _, f := range doors {
		j.Doors = append(j.Doors, ch.give(f))
	}
	if err == nil {
		ch.birth, err = cg.birth()
	}
	var exe *os.File
	if err == nil {
		exe, err = openSelf()
	}
	if err == nil {
		c.PID, err = ch.start(exe)
		exe.Close()
	}
	ch.close()
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// setUp is the caller's side of the talk.
func (r *Runtime) setUp(c *Container, spec *specs.Spec, l *line, j job) error {
	state := StateOf(*c, Creating)
	j.State = &state
	inside := *spec
	var err error
	if j.Filter, err = compileSeccomp(spec.Linux.Seccomp); err != nil {
		return err
	}
	linux := *spec.Linux
	linux.Seccomp = nil
	inside.Linux, j.Spec = &linux, &inside
	j.Config = configOf(j.Spec)
	sent := l.send(j)
	// What the child says comes first: that it died is why it could not be told more.
	if err := l.expect("mounted"); err != nil {
		return errors.Join(err, sent)
	}
	if h := spec.Hooks; h != nil {
		if err := runHooks("prestart", h.Prestart, state); err != nil { //nolint:staticcheck // deprecated, and what dockerd uses
			return err
		}
		if err := runHooks("createRuntime", h.CreateRuntime, state); err != nil {
			return err
		}
	}
	if err := l.send(told{Go: true}); err != nil {
		return err
	}
	return l.expect("ready")
}

func writePID(file string, pid int) error {
	if file == "" {
		return nil
	}
	if err := replaceFile(file, fmt.Append(nil, pid), 0o644); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}
