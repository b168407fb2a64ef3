package v1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	cgroups "coracle/02-cgroups"
	"coracle/internal/hostgroup"
)

// A Group is one folder in the tree of each controller, all of the same name.
type Group struct {
	cg   cgroup1.Cgroup
	dirs []string       // all folders, for Remove
	v2   *cgroups.Group // on a hybrid machine; may be nil
}

// Serves says whether one of these controllers is mounted as v1 here.
func Serves(controllers []string) bool {
	all, _ := hostgroup.Hierarchies()
	return slices.ContainsFunc(all, func(h hostgroup.Hierarchy) bool {
		return slices.ContainsFunc(h.Controllers, func(c string) bool { return slices.Contains(controllers, c) })
	})
}

// New makes a group below this process's own and sets the limits.
func New(name string, l cgroups.Limits) (*Group, error) {
	all, err := hostgroup.Hierarchies()
	if err != nil {
		return nil, err
	}
	g, rel := &Group{}, map[cgroup1.Name]string{}
	for _, h := range all {
		for _, c := range h.Controllers {
			sub, err := filepath.Rel(h.Mount, h.Own)
			if err != nil {
				return nil, err
			}
			rel[cgroup1.Name(c)] = "/" + filepath.Join(sub, name)
		}
		if !h.V2() && slices.ContainsFunc(h.Controllers, func(c string) bool { return slices.Contains(used, cgroup1.Name(c)) }) {
			if err := unix.Access(h.Own, unix.W_OK); err != nil {
				return nil, fmt.Errorf("make a group in %s as uid %d: %w; v1 delegates nothing: use root, or a machine with cgroup v2 (./lab vm)", h.Own, os.Geteuid(), err)
			}
			hostgroup.CollectIn(h.Own)
			g.dirs = append(g.dirs, filepath.Join(h.Own, name))
		}
	}
	for _, c := range l.Controllers() {
		if rel[cgroup1.Name(c)] == "" {
			return nil, fmt.Errorf("controller %s is mounted neither as v1 nor with the others: mount -t cgroup -o %s", c, c)
		}
	}
	res, err := resources(l, all)
	if err != nil {
		return nil, err
	}
	g.cg, err = cgroup1.New(func(n cgroup1.Name) (string, error) {
		if rel[n] == "" {
			return "", cgroup1.ErrControllerNotActive
		}
		return rel[n], nil
	}, res, cgroup1.WithHierarchy(hierarchy))
	if err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	if h, err := hostgroup.Unified(); err == nil {
		if parent, err := h.Parent(); err == nil {
			hostgroup.CollectIn(parent)
			dir := filepath.Join(parent, name)
			if os.Mkdir(dir, 0o755) == nil {
				g.dirs = append(g.dirs, dir)
				g.v2, _ = cgroups.Open(dir)
			}
		}
	}
	return g, nil
}

// used are the controllers that limits and figures need.
var used = []cgroup1.Name{cgroup1.Memory, cgroup1.Cpu, cgroup1.Cpuacct, cgroup1.Pids, cgroup1.Freezer}

func hierarchy() ([]cgroup1.Subsystem, error) {
	all, err := cgroup1.Default()
	return slices.DeleteFunc(all, func(s cgroup1.Subsystem) bool { return !slices.Contains(used, s.Name()) }), err
}

// resources words the limits for v1. Its limit on swap is on memory and swap
// together, and there only if the kernel accounts swap.
func resources(l cgroups.Limits, all []hostgroup.Hierarchy) (*specs.LinuxResources, error) {
	if _, err := l.Values(); err != nil { // the bounds are the same
		return nil, err
	}
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}, Pids: &specs.LinuxPids{}}
	if l.Memory.Max != 0 {
		r.Memory.Limit = &l.Memory.Max
		for _, h := range all {
			_, err := os.Stat(filepath.Join(h.Own, "memory.memsw.limit_in_bytes"))
			if slices.Contains(h.Controllers, "memory") && err == nil {
				both := l.Memory.Max
				if l.Memory.Swap > 0 && both > 0 {
					both += l.Memory.Swap
				}
				r.Memory.Swap = &both
			}
		}
	}
	if l.CPU.Request > 0 {
		shares := uint64(cgroups.SharesFromMilliCPU(l.CPU.Request))
		r.CPU.Shares = &shares
	}
	if l.CPU.Limit != 0 {
		period := l.CPU.Period
		if period == 0 {
			period = 100 * time.Millisecond
		}
		quota, us := cgroups.Unlimited, uint64(period.Microseconds())
		if l.CPU.Limit > 0 {
			quota = cgroups.QuotaFromMilliCPU(l.CPU.Limit, period).Microseconds()
		}
		r.CPU.Quota, r.CPU.Period = &quota, &us
	}
	if l.Pids.Max != 0 {
		r.Pids.Limit = &l.Pids.Max
	}
	return r, nil
}

// Sample reads what the group has used.
func (g *Group) Sample(at time.Time) (cgroups.Sample, error) {
	s := cgroups.Sample{}
	if g.v2 != nil {
		var err error
		if s, err = g.v2.Sample(at); err != nil {
			return s, err
		}
	}
	m, err := g.cg.Stat(cgroup1.IgnoreNotExist)
	if err != nil {
		return s, fmt.Errorf("read the group's figures: %w", err)
	}
	s.At = at
	s.CPU = time.Duration(m.GetCPU().GetUsage().GetTotal())
	s.Throttled = time.Duration(m.GetCPU().GetThrottling().GetThrottledTime())
	s.Memory = int64(m.GetMemory().GetUsage().GetUsage())
	s.Pids = int64(m.GetPids().GetCurrent())
	return s, nil
}

// OOMKills returns how many processes of the group the OOM killer has killed.
func (g *Group) OOMKills() (uint64, error) {
	m, err := g.cg.Stat(cgroup1.IgnoreNotExist)
	return m.GetMemoryOomControl().GetOomKill(), err
}

// Kill ends every process in the group and returns once there is none.
func (g *Group) Kill(ctx context.Context) error {
	if g.v2 != nil {
		return g.v2.Kill(ctx)
	}
	for {
		processes, err := g.cg.Processes(cgroup1.Freezer, true)
		if err != nil || len(processes) == 0 {
			return err
		}
		// Frozen first, so that none forks away between the list and the signal. v1
		// delivers a signal only to what is thawed.
		if err := g.cg.Freeze(); err != nil {
			return fmt.Errorf("freeze: %w", err)
		}
		processes, err = g.cg.Processes(cgroup1.Freezer, true)
		for _, p := range processes {
			syscall.Kill(p.Pid, syscall.SIGKILL)
		}
		if err := errors.Join(err, g.cg.Thaw()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// Remove removes the folders and what is left in them.
func (g *Group) Remove() error {
	var errs []error
	for _, dir := range g.dirs {
		errs = append(errs, hostgroup.Remove(dir))
	}
	return errors.Join(errs...)
}

// Start starts cmd in the group: it is a member before the command's first
// instruction. The program must call Reexec first thing in main.
func (g *Group) Start(cmd *exec.Cmd) error {
	start := cmd.Start
	if g.v2 != nil {
		start = func() error { return g.v2.Start(cmd) }
	}
	return behindGate(cmd, start, func(pid int) error { return g.cg.Add(cgroup1.Process{Pid: pid}) })
}
