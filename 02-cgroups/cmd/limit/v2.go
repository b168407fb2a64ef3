package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	cgroups "coracle/02-cgroups"
	"coracle/internal/hostgroup"
)

// A v2 is a group of the unified tree: what the chapter is about.
type v2 struct {
	*cgroups.Group
	undo func() error
}

// newV2 finds where a group may be made, divides that if need be, and makes it.
func newV2(name string, l cgroups.Limits) (group, error) {
	h, err := hostgroup.Unified()
	if err != nil {
		return nil, err
	}
	hostgroup.EnterScope()
	dir, err := h.Parent(l.Controllers()...)
	if err != nil {
		return nil, err
	}
	hostgroup.CollectIn(dir)
	parent, err := cgroups.Open(dir)
	if err != nil {
		return nil, err
	}
	// What is offered but not limited is enabled as well: it can then be counted, and
	// another limit may run inside of this one.
	controllers := l.Controllers()
	offered, err := parent.Read("cgroup.controllers")
	for _, c := range strings.Fields(offered) {
		if slices.Contains([]string{"cpu", "memory", "pids"}, c) && !slices.Contains(controllers, c) {
			controllers = append(controllers, c)
		}
	}
	g := &v2{undo: undo(parent)}
	if err := errors.Join(err, parent.Enable(controllers...)); err != nil {
		return nil, err
	}
	if g.Group, err = parent.Child(name); err != nil {
		return nil, errors.Join(err, g.undo())
	}
	values, err := l.Values()
	if err == nil {
		err = g.Set(values)
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

// undo returns what puts a group back as it was if its processes have to move to
// a leaf: where limit is called from must not be changed by it. Not while another
// group below it is in use.
func undo(parent *cgroups.Group) func() error {
	before, _ := parent.Read("cgroup.subtree_control")
	procs, _ := parent.Read("cgroup.procs")
	_, kind := parent.Read("cgroup.type")
	if procs == "" || before != "" || errors.Is(kind, os.ErrNotExist) {
		return func() error { return nil }
	}
	return func() error {
		entries, err := os.ReadDir(parent.Dir())
		if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.IsDir() && e.Name() != "leaf" }) {
			return err
		}
		enabled, err := parent.Read("cgroup.subtree_control")
		if err == nil && enabled != "" {
			err = parent.Write("cgroup.subtree_control", "-"+strings.ReplaceAll(enabled, " ", " -"))
		}
		if err != nil {
			return err
		}
		leaf, err := cgroups.Open(parent.Dir() + "/leaf")
		if err != nil {
			return nil // nothing had to move
		}
		pids, err := leaf.Read("cgroup.procs")
		for _, pid := range strings.Fields(pids) {
			err = errors.Join(err, hostgroup.Move(parent.Dir(), pid))
		}
		return errors.Join(err, leaf.Remove())
	}
}

// Remove removes the group.
func (g *v2) Remove() error { return errors.Join(g.Group.Remove(), g.undo()) }

// OOMKills returns how many processes of the group the OOM killer has killed.
func (g *v2) OOMKills() (uint64, error) {
	text, err := g.Read("memory.events")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // the controller is not enabled: nothing of its could kill
	}
	if err != nil {
		return 0, err
	}
	events, err := cgroups.ParseKeyed(text)
	if err != nil {
		return 0, fmt.Errorf("%s/memory.events: %w", g.Dir(), err)
	}
	return events["oom_kill"], nil
}
