package oci

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"coracle/internal/hostgroup"
)

// A Group is a group of several containers, such as a pod's: folders in the same
// hierarchies as theirs, with limits of its own.
type Group struct{ Paths map[string]string } // as Container.Cgroup

// MakeGroup makes the group at a cgroupsPath, below which containers' may lie; one that
// is there already gets the limits. It says nothing of devices: those are each
// container's. An ordinary user to whom no group was delegated gets one without folders.
func MakeGroup(cgroupsPath string, r *specs.LinuxResources) (Group, error) {
	hierarchies, err := hostgroup.Hierarchies()
	if err != nil {
		return Group{}, fmt.Errorf("find the control groups: %w", err)
	}
	all, err := planGroups(hierarchies, cgroupsPath, "")
	if err != nil {
		return Group{}, err
	}
	made := &groups{made: true}
	for _, g := range all {
		if err := g.make(); (rootless() || g.named()) && denied(err) {
			continue
		} else if err != nil {
			return Group{made.paths()}, fmt.Errorf("make cgroup: %w", err)
		}
		made.all = append(made.all, g)
	}
	if len(made.all) == 0 {
		return Group{}, nil
	}
	return Group{made.paths()}, made.setAll(r, false)
}

// Set changes the limits that r names.
func (g Group) Set(r *specs.LinuxResources) error {
	cg, err := loadCgroup(g.Paths)
	if err != nil {
		return err
	}
	return cg.set(r)
}

// Usage is what all processes in it and below use.
func (g Group) Usage() (*Stats, error) {
	cg, err := loadCgroup(g.Paths)
	if err != nil {
		return nil, err
	}
	return cg.stats()
}

// Remove kills what is in it and below, and removes it. One that is gone is no error.
func (g Group) Remove() error {
	cg, err := loadCgroup(g.Paths)
	if err != nil || len(g.Paths) == 0 {
		return err
	}
	if err := cg.kill(); err != nil {
		return err
	}
	return cg.remove()
}
