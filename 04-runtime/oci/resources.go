package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A setting is one write into a file of a group.
type setting struct {
	controller, file, value string
	soft                    bool // a kernel that lacks the file needs none
}

// A plan is what to write for some resources, and what of them v1 or v2 does not
// know but lives without, a line each.
type plan struct {
	settings []setting
	warnings []string
}

func (p *plan) add(controller, file string, value any) {
	p.settings = append(p.settings, setting{controller, file, fmt.Sprint(value), false})
}

func (p *plan) soft(controller, file string, value any) {
	p.settings = append(p.settings, setting{controller, file, fmt.Sprint(value), true})
}

func (p *plan) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// set changes the limits of a container that runs. Devices stay, unless some are given.
func (gs *groups) set(r *specs.LinuxResources) error {
	if m := r.Memory; m != nil && m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate && value(m.Limit) > 0 {
		if s, err := gs.stats(); err == nil && s.Memory.Usage.Usage > uint64(*m.Limit) {
			return fmt.Errorf("memory.limit %d is less than the %d bytes in use, and checkBeforeUpdate was asked for", *m.Limit, s.Memory.Usage.Usage)
		}
	}
	return gs.setAll(r, false)
}

// setAll writes what the resources say. An order that is always right does not
// exist (a limit may not be above the one on memory and swap, a quota not above its
// period's), so what is refused is tried once more after the rest.
func (gs *groups) setAll(r *specs.LinuxResources, born bool) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	if len(gs.all) == 0 {
		if !born {
			return errors.New("the container has no cgroup: its limits cannot be changed")
		}
		return nil
	}
	p, err := planResources(r, gs.pure())
	if err != nil {
		return err
	}
	for _, w := range p.warnings {
		slog.Warn(w)
	}
	var refused []setting
	for _, s := range p.settings {
		if err := gs.write(s); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EBUSY) {
			refused = append(refused, s)
		} else if err != nil {
			return err
		}
	}
	for _, s := range refused {
		if err := gs.write(s); err != nil {
			return err
		}
	}
	if born || len(r.Devices) > 0 {
		return gs.setDevices(r.Devices)
	}
	return nil
}

// pure says whether no controller is mounted as v1: then they are v2's. A machine
// that has some of either kind is taken for v1; systemd makes none such.
func (gs *groups) pure() bool {
	return !slices.ContainsFunc(gs.all, func(g group) bool { return !g.v2() && !strings.HasPrefix(g.controllers[0], "name=") })
}

func (gs *groups) write(s setting) error {
	g := gs.find(s.controller)
	if g == nil {
		return fmt.Errorf("%s=%s: the controller %s is not mounted", s.file, s.value, s.controller)
	}
	err := writeFile(g.dir, s.file, s.value)
	switch {
	case err == nil || s.soft && errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && g.v2():
		err = fmt.Errorf("%s=%s: the controller %s is not given to %s", s.file, s.value, s.controller, g.dir)
	case !denied(err):
		return err
	}
	if gs.rootless { // such a user runs what he can
		slog.Warn("a limit is not set: " + err.Error())
		return nil
	}
	return err
}

// planResources is pure: what to write into files of v1, or of v2.
func planResources(r *specs.LinuxResources, v2 bool) (*plan, error) {
	p := new(plan)
	steps := []func(*plan, *specs.LinuxResources) error{memoryV1, cpuV1, blockV1, networkV1}
	if v2 {
		steps = []func(*plan, *specs.LinuxResources) error{memoryV2, cpuV2, blockV2, networkV2}
	}
	for _, step := range steps {
		if err := step(p, r); err != nil {
			return nil, err
		}
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit != 0 {
		p.add("pids", "pids.max", maxed(*r.Pids.Limit))
	}
	for _, h := range r.HugepageLimits {
		if h.Pagesize == "" || strings.ContainsAny(h.Pagesize, "/.") {
			return nil, fmt.Errorf("hugepageLimits: pageSize %q: want one such as 2MB", h.Pagesize)
		}
		usage, reserved := "limit_in_bytes", "rsvd.limit_in_bytes"
		if v2 {
			usage, reserved = "max", "rsvd.max"
		}
		p.add("hugetlb", "hugetlb."+h.Pagesize+"."+usage, h.Limit)
		p.soft("hugetlb", "hugetlb."+h.Pagesize+"."+reserved, h.Limit)
	}
	for _, device := range slices.Sorted(maps.Keys(r.Rdma)) {
		line := device
		if n := r.Rdma[device].HcaHandles; n != nil {
			line += fmt.Sprintf(" hca_handle=%d", *n)
		}
		if n := r.Rdma[device].HcaObjects; n != nil {
			line += fmt.Sprintf(" hca_object=%d", *n)
		}
		p.add("rdma", "rdma.max", line)
	}
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		controller, _, dotted := strings.Cut(file, ".")
		switch {
		case strings.Contains(file, "/") || !dotted || controller == "cgroup" && !strings.HasPrefix(file, "cgroup.max."):
			return nil, fmt.Errorf("unified: %q is no limit of a controller", file)
		case !v2:
			return nil, fmt.Errorf("unified: %s is a file of cgroup v2, and this machine has its controllers on v1", file)
		default:
			p.add(controller, file, r.Unified[file])
		}
	}
	return p, nil
}

// maxed words a limit for v2, and for pids.max of v1.
func maxed(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// value is what a pointer to a number says; the spec's zeros mean none given.
func value[T int64 | uint64 | uint16 | uint32](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}
