package oci

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	cgroups "coracle/02-cgroups"
)

func memoryV1(p *plan, r *specs.LinuxResources) error {
	m := r.Memory
	if m == nil {
		return nil
	}
	limit, swap := value(m.Limit), value(m.Swap)
	if limit == -1 && swap == 0 {
		swap = -1
	}
	if limit != 0 {
		p.add("memory", "memory.limit_in_bytes", limit)
	}
	if swap != 0 {
		p.soft("memory", "memory.memsw.limit_in_bytes", swap)
	}
	if n := value(m.Reservation); n != 0 {
		p.add("memory", "memory.soft_limit_in_bytes", n)
	}
	if value(m.Kernel) != 0 {
		p.warn("memory.kernel is not set: the runtime-spec has given it up, and so has Linux")
	}
	if n := value(m.KernelTCP); n != 0 {
		p.add("memory", "memory.kmem.tcp.limit_in_bytes", n)
	}
	if m.Swappiness != nil {
		p.add("memory", "memory.swappiness", *m.Swappiness)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		p.add("memory", "memory.oom_control", 1)
	}
	if m.UseHierarchy != nil && *m.UseHierarchy {
		p.soft("memory", "memory.use_hierarchy", 1)
	}
	return nil
}

func memoryV2(p *plan, r *specs.LinuxResources) error {
	m := r.Memory
	if m == nil {
		return nil
	}
	limit, swap := value(m.Limit), value(m.Swap)
	switch {
	case limit == -1 && swap == 0 || swap == -1:
		p.soft("memory", "memory.swap.max", "max")
	case swap > 0 && limit <= 0:
		return fmt.Errorf("memory.swap %d is a limit on memory and swap together: give memory.limit too", swap)
	case swap > 0 && swap < limit:
		return fmt.Errorf("memory.swap %d is less than memory.limit %d, and means both together", swap, limit)
	case swap > 0:
		p.soft("memory", "memory.swap.max", swap-limit)
	}
	if limit != 0 {
		p.add("memory", "memory.max", maxed(limit))
	}
	if n := value(m.Reservation); n != 0 {
		p.add("memory", "memory.low", maxed(n))
	}
	for name, given := range map[string]bool{
		"kernel": value(m.Kernel) != 0, "kernelTCP": value(m.KernelTCP) != 0, "swappiness": m.Swappiness != nil,
		"disableOOMKiller": m.DisableOOMKiller != nil && *m.DisableOOMKiller,
	} {
		if given {
			p.warn("memory.%s is not set: cgroup v2 has nothing like it", name)
		}
	}
	return nil
}

func cpuV1(p *plan, r *specs.LinuxResources) error {
	c := r.CPU
	if c == nil {
		return nil
	}
	for _, f := range []struct {
		file string
		n    int64
	}{
		{"cpu.shares", int64(value(c.Shares))}, {"cpu.cfs_period_us", int64(value(c.Period))}, {"cpu.cfs_quota_us", value(c.Quota)},
		{"cpu.rt_period_us", int64(value(c.RealtimePeriod))}, {"cpu.rt_runtime_us", value(c.RealtimeRuntime)},
	} {
		if f.n != 0 {
			p.add("cpu", f.file, f.n)
		}
	}
	if c.Burst != nil {
		p.add("cpu", "cpu.cfs_burst_us", *c.Burst)
	}
	if c.Idle != nil {
		p.add("cpu", "cpu.idle", *c.Idle)
	}
	cpuset(p, c)
	return nil
}

func cpuset(p *plan, c *specs.LinuxCPU) {
	if c.Cpus != "" {
		p.add("cpuset", "cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		p.add("cpuset", "cpuset.mems", c.Mems)
	}
}

func cpuV2(p *plan, r *specs.LinuxResources) error {
	c := r.CPU
	if c == nil {
		return nil
	}
	// The weight of a group that is idle cannot be set, not even to what it is.
	if n := value(c.Shares); n != 0 && value(c.Idle) == 0 {
		p.add("cpu", "cpu.weight", cgroups.WeightFromShares(int64(n)))
	}
	if c.Idle != nil {
		p.add("cpu", "cpu.idle", *c.Idle)
	}
	switch quota, period := value(c.Quota), value(c.Period); {
	case period != 0:
		if quota == 0 {
			quota = -1
		}
		p.add("cpu", "cpu.max", fmt.Sprintf("%s %d", maxed(quota), period))
	case quota != 0:
		p.add("cpu", "cpu.max", maxed(quota))
	}
	if c.Burst != nil {
		p.add("cpu", "cpu.max.burst", *c.Burst)
	}
	if value(c.RealtimePeriod) != 0 || value(c.RealtimeRuntime) != 0 {
		return errors.New("cpu.realtimeRuntime: cgroup v2 does not share out real time")
	}
	cpuset(p, c)
	return nil
}
