package hostgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotDelegated is what every error of Parent is that root would not get.
var ErrNotDelegated = errors.New("no group here is yours to divide")

// Available lists the controllers of v2 that could be given to groups below this
// process's own or one of its ancestors.
func (h Hierarchy) Available() []string {
	var best []string
	for _, dir := range h.upwards() {
		if c := words(dir, "cgroup.controllers"); len(c) > len(best) && usable(dir) {
			best = c
		}
	}
	return best
}

// upwards lists the folders of this process's own group and its ancestors. It ends
// at a group of the workshop's, because what is to be contained stays below it, and
// for an ordinary user at a unit of systemd, because that is what is delegated: what
// is above it is the user's by owner but systemd's by agreement.
func (h Hierarchy) upwards() []string {
	dirs := []string{h.Own}
	for dir := h.Own; dir != h.Mount && !strings.HasPrefix(filepath.Base(dir), Prefix) && (os.Geteuid() == 0 || !unit(dir)); {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

func unit(dir string) bool {
	return strings.HasSuffix(dir, ".scope") || strings.HasSuffix(dir, ".service")
}

// Parent returns the folder of the nearest group, this process's own or an
// ancestor, below which it may make groups that have these controllers: where
// they are enabled already, or else where they can be (Divide).
func (h Hierarchy) Parent(controllers ...string) (string, error) {
	var offered, mine string
	for _, dir := range h.upwards() {
		if usable(dir) {
			mine = dir
			if has(words(dir, "cgroup.subtree_control"), controllers) {
				return dir, nil
			}
			if offered == "" && has(words(dir, "cgroup.controllers"), controllers) {
				offered = dir
			}
		}
	}
	switch {
	case offered != "":
		return offered, nil
	case mine != "":
		return "", fmt.Errorf("%s offers the controllers %q, want %q: enable them in its parent's cgroup.subtree_control (systemd: Delegate=cpu memory pids in user@.service)",
			mine, words(mine, "cgroup.controllers"), controllers)
	}
	return "", fmt.Errorf("%w: %s is not writable by uid %d: use root, or: systemd-run --user --scope -p Delegate=yes -- COMMAND",
		ErrNotDelegated, h.Own, os.Geteuid())
}

// usable says whether this process may make a group in dir and start a process
// there: for that cgroup.procs of the common ancestor must be writable too, which
// is dir itself, because dir holds this process (cgroup-v2.rst, Delegation).
func usable(dir string) bool {
	return unix.Access(dir, unix.W_OK|unix.X_OK) == nil &&
		unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK) == nil
}

// root says whether dir is the root of the whole tree, the one group that may
// hold processes and give controllers away.
func root(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.type"))
	return os.IsNotExist(err)
}

func busy(dir string) bool { return len(words(dir, "cgroup.procs")) > 0 }

// Divide enables controllers for the groups below dir. Processes in dir move to
// the leaf dir/leaf first: a group that gives controllers away holds no process
// (cgroup-v2.rst, No Internal Process Constraint).
func Divide(dir, leaf string, controllers ...string) error {
	if has(words(dir, "cgroup.subtree_control"), controllers) {
		return nil
	}
	for tries := 0; busy(dir) && !root(dir); tries++ {
		if tries == 100 {
			return fmt.Errorf("processes keep appearing in %s", dir)
		}
		if err := os.Mkdir(filepath.Join(dir, leaf), 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		for _, pid := range words(dir, "cgroup.procs") {
			if err := Move(filepath.Join(dir, leaf), pid); err != nil {
				return err
			}
		}
	}
	line := "+" + strings.Join(controllers, " +")
	if err := write(dir, "cgroup.subtree_control", line); err != nil {
		return fmt.Errorf("enable %s: %w", line, err)
	}
	return nil
}

// Move puts a process into the group in dir; one that has ended is no error.
func Move[PID int | string](dir string, pid PID) error {
	text, ok := any(pid).(string)
	if !ok {
		text = strconv.Itoa(any(pid).(int))
	}
	err := write(dir, "cgroup.procs", text)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("move process %s: %w", text, err)
	}
	return nil
}
