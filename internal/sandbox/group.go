package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

const (
	groupVar = "CORACLE_SANDBOX_GROUP" // a groupEnv
	leaf     = "tests"                 // where the tests run: a group that gives controllers away holds no process
)

// A group is the part of the cgroup tree that the tests own: one folder of v2,
// and as root on a hybrid machine one of each v1 hierarchy as well.
type group struct {
	groupEnv
	fd int // the v2 folder, for the birth of PID 1
}

// A groupEnv tells PID 1 and the tests of the group.
type groupEnv struct {
	None   string       // why there is none
	Dirs   []string     // one for each hierarchy, v2 first
	Mounts []groupMount // what PID 1 mounts over the host's
}

type groupMount struct{ Type, Data, At string }

func readGroupEnv() (e groupEnv, err error) {
	text := os.Getenv(groupVar)
	if text == "" {
		return e, errors.New("this package's tests asked for no group (Options.Cgroup)")
	}
	if err = json.Unmarshal([]byte(text), &e); err == nil && e.None != "" {
		err = errors.New(e.None)
	}
	return e, err
}

// newGroup makes the group. It is removed by remove, or, if this process is
// killed, by the next call.
func newGroup(mode Mode) (*group, error) {
	all, err := hostgroup.Hierarchies()
	if err != nil {
		return nil, err
	}
	h, err := hostgroup.Unified()
	if err != nil {
		return nil, err
	}
	want := slices.DeleteFunc(h.Available(), func(c string) bool {
		return !slices.Contains([]string{"cpu", "memory", "pids", "hugetlb"}, c) || c == "hugetlb" && len(all) == 1
	})
	parent, err := h.Parent(want...)
	if err != nil {
		return nil, err
	}
	hostgroup.CollectIn(parent)
	if err := hostgroup.Divide(parent, "leaf", want...); err != nil {
		return nil, err
	}
	name := hostgroup.Name("test")
	g := &group{fd: -1}
	g.Dirs, g.Mounts = []string{filepath.Join(parent, name)}, []groupMount{{"cgroup2", "", h.Mount}}
	for _, v1 := range all {
		if !v1.V2() && mode == Root && !strings.HasPrefix(v1.Controllers[0], "name=") {
			hostgroup.CollectIn(v1.Own)
			g.Dirs = append(g.Dirs, filepath.Join(v1.Own, name))
			g.Mounts = append(g.Mounts, groupMount{"cgroup", strings.Join(v1.Controllers, ","), v1.Mount})
		}
	}
	for _, dir := range g.Dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			g.remove()
			return nil, err
		}
		// A new v1 cpuset takes no process until it is told its CPUs.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f)); err == nil {
				os.WriteFile(filepath.Join(dir, f), b, 0)
			}
		}
	}
	g.fd, err = unix.Open(g.Dirs[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		g.remove()
		return nil, fmt.Errorf("open %s: %w", g.Dirs[0], err)
	}
	return g, nil
}

func (e groupEnv) env() string {
	b, _ := json.Marshal(e)
	return string(b)
}

// attach lets PID 1 be born in the v2 group.
func (g *group) attach(attr *syscall.SysProcAttr) { attr.UseCgroupFD, attr.CgroupFD = true, g.fd }

// adopt moves PID 1, which waits at its gate, into the groups of v1, where
// nothing can be born.
func (g *group) adopt(pid int) error {
	for _, dir := range g.Dirs[1:] {
		if err := hostgroup.Move(dir, pid); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

func (g *group) remove() {
	unix.Close(g.fd)
	for _, dir := range g.Dirs {
		if err := hostgroup.Remove(dir); err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
		}
	}
}

// enterGroup makes the group "/" for PID 1 and what it starts: the root of a
// cgroup namespace is the group of the process at the moment of unshare(2).
func enterGroup() error {
	e, none := readGroupEnv()
	if err := unshareGroups(); err != nil || none != nil {
		return err
	}
	dir := filepath.Join(e.Dirs[0], leaf)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return hostgroup.Move(dir, os.Getpid())
}

func unshareGroups() error {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil && err != unix.EINVAL {
		return fmt.Errorf("unshare the cgroup namespace: %w", err)
	}
	return nil
}

// mountOwnGroups covers the host's groups with mounts that begin at the tests'
// own. What is not covered stays what it is: the host's, read-only.
func mountOwnGroups(string) error {
	e, none := readGroupEnv()
	if none != nil {
		return nil
	}
	for _, m := range e.Mounts {
		if err := m.mount(); err != nil {
			return fmt.Errorf("mount %s %s on %s: %w", m.Type, m.Data, m.At, err)
		}
	}
	return nil
}

// mount makes the file system apart and then moves it: mount(2) refuses to put
// one over another mount of the same tree.
func (m groupMount) mount() error {
	fs, err := unix.Fsopen(m.Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	for _, flag := range strings.FieldsFunc(m.Data, func(r rune) bool { return r == ',' }) {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil {
			return err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return err
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(mnt)
	return unix.MoveMount(mnt, "", unix.AT_FDCWD, m.At, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
