package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Runtime keeps its containers' state below Root, a folder each:
//
//	ROOT/ID/state.json   a Container; replaced whole, so that it can be read without the lock
//	ROOT/ID/config.json  the bundle's, as it was at create
//	ROOT/ID/exec.fifo    until start: the barrier
//
// Whoever changes a container holds a flock on ROOT/ID; it ends with its process.
type Runtime struct {
	Root string
	Warn func(msg string) // what did not stop an operation: a failed poststart hook
}

// A Container is what state.json keeps.
type Container struct {
	ID          string            `json:"id"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	CreatedAt   time.Time         `json:"created"`
	Owner       int               `json:"owner"`
	Done        bool              `json:"done"` // create finished
	PID         int               `json:"pid,omitempty"`
	StartTime   uint64            `json:"startTime,omitempty"` // of the process, proc_pid_stat(5): a PID is used again, the pair is not
	Rootless    bool              `json:"rootless,omitempty"`
	Cgroup      map[string]string `json:"cgroup,omitempty"`  // cgroup.paths
	Planned     map[string]string `json:"planned,omitempty"` // likewise, while they are made
	Annotations map[string]string `json:"annotations,omitempty"`

	// What start, kill and delete need of config.json, which is many times as large.
	OwnPID    bool         `json:"ownPID,omitempty"` // it has a PID namespace of its own
	Poststart []specs.Hook `json:"poststart,omitempty"`
	Poststop  []specs.Hook `json:"poststop,omitempty"`

	dir string
}

// ErrNotExist is a container that there is none of. Callers look for these words.
var ErrNotExist = errors.New("container does not exist")

func validID(id string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-"
	return id != "" && id != "." && id != ".." && len(id) <= 255 && strings.Trim(id, allowed) == ""
}

func (r *Runtime) dir(id string) (string, error) {
	if !validID(id) {
		return "", fmt.Errorf("invalid container ID %q: want letters, digits, _ + . and -", id)
	}
	return filepath.Join(r.Root, id), nil
}

// load reads a container's state without its lock.
func (r *Runtime) load(id string) (*Container, error) {
	dir, err := r.dir(id)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	c := &Container{ID: id, dir: dir}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(dir); err != nil {
			return nil, fmt.Errorf("container %s: %w", id, ErrNotExist)
		}
		return c, nil // a create that was killed, or has just begun
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("%s/state.json: %w", dir, err)
	}
	return c, nil
}

// lock waits for the container's lock and reads its state then.
func (r *Runtime) lock(id string) (c *Container, unlock func(), err error) {
	dir, err := r.dir(id)
	if err != nil {
		return nil, nil, err
	}
	unlock, err = flock(dir, unix.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("container %s: %w", id, ErrNotExist)
	} else if err != nil {
		return nil, nil, fmt.Errorf("lock container %s: %w", id, err)
	}
	if c, err = r.load(id); err != nil {
		unlock()
		return nil, nil, err
	}
	return c, unlock, nil
}

func flock(dir string, how int) (unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	for err == nil {
		if err = unix.Flock(fd, how); err == nil {
			return func() { unix.Close(fd) }, nil
		} else if errors.Is(err, unix.EINTR) {
			err = nil
			continue
		}
		unix.Close(fd)
	}
	return nil, err
}

func (c *Container) file(name string) string { return filepath.Join(c.dir, name) }

func (c *Container) save() error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return replaceFile(c.file("state.json"), b, 0o600)
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte, mode fs.FileMode) error {
	dir, name := filepath.Split(path)
	tmp := filepath.Join(dir, "."+name+".new")
	if err := os.WriteFile(tmp, b, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// status looks at the container. locked says that the caller holds the lock, so that
// nobody is making it.
func (c *Container) status(locked bool) Status {
	f := Facts{Done: c.Done}
	if !c.Done && !locked {
		unlock, err := flock(c.dir, unix.LOCK_SH|unix.LOCK_NB)
		if f.Making = errors.Is(err, unix.EWOULDBLOCK); err == nil {
			unlock()
		}
	}
	f.Alive = c.alive()
	if f.Alive && f.Done {
		_, err := os.Lstat(c.file("exec.fifo"))
		f.Barrier = err == nil
		cg, err := loadCgroup(c.Cgroup)
		f.Frozen = err == nil && cg.frozen()
	}
	return StatusOf(f)
}

func (c *Container) alive() bool {
	start, ended, err := processStart(c.PID)
	return c.PID > 0 && err == nil && !ended && start == c.StartTime
}

// pidfd opens the container's process, and no other that has got its PID.
func (c *Container) pidfd() (int, error) {
	fd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		return -1, err
	}
	if !c.alive() { // looked at after it is held: it cannot change hands any more
		unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// processStart reads when a process started and whether it has ended (fields 22 and 3
// of /proc/PID/stat; the second, the name in brackets, may hold anything).
func processStart(pid int) (start uint64, ended bool, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return 0, false, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0] == "Z" || fields[0] == "X", err
}

// spec reads the bundle's configuration as it was at create.
func (c *Container) spec() (*specs.Spec, error) {
	b, err := os.ReadFile(c.file("config.json"))
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.ID, err)
	}
	conf := new(config)
	if err := json.Unmarshal(b, conf); err != nil {
		return nil, fmt.Errorf("container %s: config.json: %w", c.ID, err)
	}
	return conf.spec(), nil
}

// State returns a container and its status.
func (r *Runtime) State(id string) (*Container, Status, error) {
	c, err := r.load(id)
	if err != nil {
		return nil, "", err
	}
	return c, c.status(false), nil
}

// List returns every container, by its ID.
func (r *Runtime) List() ([]*Container, error) {
	entries, err := os.ReadDir(r.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []*Container
	for _, e := range entries {
		c, loadErr := r.load(e.Name())
		switch {
		case errors.Is(loadErr, ErrNotExist) || !e.IsDir():
		case loadErr != nil:
			r.warn(loadErr.Error())
		default:
			all = append(all, c)
		}
	}
	return all, err
}

func (r *Runtime) warn(msg string) {
	if r.Warn != nil {
		r.Warn(msg)
	}
}
