package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	cgroups "coracle/02-cgroups"
)

// What happens to all processes of a container at once. Wherever there is a
// unified group, on a hybrid machine too, it is frozen and killed by chapter 2's
// means; otherwise by the freezer of v1.

// patience is how long the kernel may take to freeze or to kill.
const patience = 10 * time.Second

var errNoGroup = errors.New("the container has no cgroup, and without one its processes cannot be told from others")

func (gs *groups) freeze() error { return gs.turn("FROZEN", (*cgroups.Group).Freeze) }

func (gs *groups) thaw() error { return gs.turn("THAWED", (*cgroups.Group).Thaw) }

func (gs *groups) turn(state string, unified func(*cgroups.Group, context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g := gs.freezer()
	if g == nil {
		return errNoGroup
	}
	if g.v2() {
		group, err := cgroups.Open(g.dir)
		if err != nil {
			return err
		}
		return unified(group, ctx)
	}
	for {
		// Written again each time: a task that forks meanwhile can keep v1 from it.
		if err := writeFile(g.dir, "freezer.state", state); err != nil {
			return err
		}
		if now, err := readFile(g.dir, "freezer.state"); err != nil || now == state {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: the processes did not become %s", g.dir, state)
		case <-time.After(time.Millisecond):
		}
	}
}

func (gs *groups) frozen() bool {
	g := gs.freezer()
	if g == nil {
		return false
	}
	if g.v2() {
		now, _ := readFile(g.dir, "cgroup.freeze")
		return now == "1"
	}
	now, _ := readFile(g.dir, "freezer.state")
	return now == "FROZEN" || now == "FREEZING"
}

// freezer returns the group that stops the container's processes.
func (gs *groups) freezer() *group {
	if g := gs.unified(); g != nil {
		if _, err := readFile(g.dir, "cgroup.freeze"); err == nil {
			return g
		}
	}
	return gs.find("freezer")
}

// pids lists the processes in the container's group and in those that it made below.
func (gs *groups) pids() ([]int, error) {
	g := gs.freezer()
	if g == nil {
		return nil, errNoGroup
	}
	var pids []int
	err := filepath.WalkDir(g.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			pids = append(pids, readPIDs(p)...)
		}
		return err
	})
	slices.Sort(pids)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // removed meanwhile
	}
	return slices.Compact(pids), err
}

// kill ends all processes, frozen ones too, and returns once they are gone.
func (gs *groups) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g := gs.freezer()
	switch {
	case g == nil:
		return errNoGroup
	case g.v2():
		group, err := cgroups.Open(g.dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return group.Kill(ctx)
	}
	for {
		pids, err := gs.pids()
		if err != nil || len(pids) == 0 {
			return err
		}
		// Frozen first, so that none forks away between the list and the signal.
		err = gs.freeze()
		pids, _ = gs.pids()
		for _, pid := range pids {
			if pid > 0 { // 0 cannot be named from here, and would mean our own process group
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if err := errors.Join(err, gs.thaw()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: processes are left after SIGKILL", g.dir)
		case <-time.After(time.Millisecond):
		}
	}
}
