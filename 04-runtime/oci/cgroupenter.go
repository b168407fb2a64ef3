package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"coracle/internal/hostgroup"
)

// Why the child enters v1's groups by itself: whoever writes a pid into
// cgroup.procs makes the kernel wait until no processor is in a fork or an exit,
// 5 to 70 ms after idle; a thread that writes 0 into tasks moves itself and waits
// for nobody (kernel/cgroup/cgroup.c, cgroup_procs_write_start). The other threads
// of the child stay behind, and end with its execve.

// birth opens the unified group for clone3(2), CLONE_INTO_CGROUP; nil without one.
func (gs *groups) birth() (*os.File, error) {
	if g := gs.unified(); g != nil {
		return os.OpenFile(g.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	return nil, nil
}

// doors opens what a child enters the groups of v1 by. The right to it is the
// opener's: the child may be another user by then.
func (gs *groups) doors() ([]*os.File, error) {
	var doors []*os.File
	for _, g := range gs.all {
		if g.v2() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(g.dir, "tasks"), os.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			for _, d := range doors {
				d.Close()
			}
			return nil, err
		}
		doors = append(doors, f)
	}
	return doors, nil
}

// enterDoors moves the calling thread, which is locked and will be the one to
// execute the program, into the groups of v1.
func enterDoors(doors []int) error {
	for _, fd := range doors {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return fmt.Errorf("enter a cgroup: %w", err)
		}
	}
	return nil
}

// join moves a whole process into the groups: for one that was not born there.
func (gs *groups) join(pid int) error {
	for _, g := range gs.all {
		if err := writeFile(g.dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("join a cgroup: %w", err)
		}
	}
	return nil
}

// remove kills what is left in the groups and removes them. Groups that are gone
// already are no error; those above stay.
func (gs *groups) remove() error {
	var errs []error
	for _, g := range gs.all {
		errs = append(errs, hostgroup.Remove(g.dir))
	}
	return errors.Join(errs...)
}
