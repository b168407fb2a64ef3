package oci

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A Group is a group of several containers, such as a pod's: folders in the same
// hierarchies as theirs, with limits of its own.
type Group struct{ Paths map[string]string } // as Container.Cgroup

// MakeGroup makes the group at a cgroupsPath, below which containers' may lie. An
// ordinary user to whom no group was delegated gets one without folders.
func MakeGroup(cgroupsPath string, r *specs.LinuxResources) (Group, error) {
	cg, err := newCgroup(&specs.Spec{Linux: &specs.Linux{CgroupsPath: cgroupsPath, Resources: r}}, "", rootless())
	if err != nil {
		return Group{}, err
	}
	err = cg.make()
	return Group{cg.paths()}, err
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
