package oci

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Stats is what events --stats shows, in the words of runc (types/events.go there).
// Times are nanoseconds, sizes bytes. What a group's controllers do not tell is zero.
type Stats struct {
	CPU struct {
		Usage struct {
			Total        uint64   `json:"total,omitempty"`
			Percpu       []uint64 `json:"percpu,omitempty"`
			PercpuKernel []uint64 `json:"percpu_kernel,omitempty"`
			PercpuUser   []uint64 `json:"percpu_user,omitempty"`
			Kernel       uint64   `json:"kernel"`
			User         uint64   `json:"user"`
		} `json:"usage,omitempty"`
		Throttling struct {
			Periods          uint64 `json:"periods,omitempty"`
			ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
			ThrottledTime    uint64 `json:"throttledTime,omitempty"`
		} `json:"throttling,omitempty"`
	} `json:"cpu"`
	CPUSet struct {
		CPUs []uint16 `json:"cpus,omitempty"`
		Mems []uint16 `json:"mems,omitempty"`
	} `json:"cpuset"`
	Memory struct {
		Cache     uint64            `json:"cache,omitempty"`
		Usage     MemoryUsage       `json:"usage,omitempty"`
		Swap      MemoryUsage       `json:"swap,omitempty"`
		Kernel    MemoryUsage       `json:"kernel,omitempty"`
		KernelTCP MemoryUsage       `json:"kernelTCP,omitempty"`
		Raw       map[string]uint64 `json:"raw,omitempty"`
	} `json:"memory"`
	Pids struct {
		Current uint64 `json:"current,omitempty"`
		Limit   uint64 `json:"limit,omitempty"` // 0: none
	} `json:"pids"`
	Blkio struct {
		IOServiceBytes []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
		IOServiced     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	} `json:"blkio"`
	Hugetlb           map[string]MemoryUsage `json:"hugetlb"`
	IntelRdt          struct{}               `json:"intel_rdt"`
	NetworkInterfaces []struct{}             `json:"network_interfaces"`
}

// MemoryUsage is a use of memory with its limit; Failcnt counts how often that was met.
type MemoryUsage struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// A BlkioEntry is one number of one disk.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

func (gs *groups) stats() (*Stats, error) {
	s := &Stats{Hugetlb: map[string]MemoryUsage{}}
	if gs.pure() {
		if g := gs.unified(); g != nil {
			g.statsV2(s)
		}
		return s, nil
	}
	if g := gs.find("cpuacct"); g != nil {
		s.CPU.Usage.Total = g.number("cpuacct.usage")
		s.CPU.Usage.Percpu = g.numbers("cpuacct.usage_percpu")
		s.CPU.Usage.PercpuUser, s.CPU.Usage.PercpuKernel = g.numbers("cpuacct.usage_percpu_user"), g.numbers("cpuacct.usage_percpu_sys")
		s.CPU.Usage.User, s.CPU.Usage.Kernel = sum(s.CPU.Usage.PercpuUser), sum(s.CPU.Usage.PercpuKernel)
	}
	if g := gs.find("cpu"); g != nil {
		stat := g.keyed("cpu.stat")
		s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods = stat["nr_periods"], stat["nr_throttled"]
		s.CPU.Throttling.ThrottledTime = stat["throttled_time"]
	}
	if g := gs.find("cpuset"); g != nil {
		s.CPUSet.CPUs, s.CPUSet.Mems = g.list("cpuset.cpus"), g.list("cpuset.mems")
	}
	if g := gs.find("memory"); g != nil {
		s.Memory.Raw = g.keyed("memory.stat")
		s.Memory.Cache = s.Memory.Raw["cache"]
		s.Memory.Usage = g.memoryV1("memory.")
		s.Memory.Swap = g.memoryV1("memory.memsw.")
		s.Memory.Kernel = g.memoryV1("memory.kmem.")
		s.Memory.KernelTCP = g.memoryV1("memory.kmem.tcp.")
	}
	if g := gs.find("blkio"); g != nil {
		s.Blkio.IOServiceBytes = g.blkioV1("blkio.throttle.io_service_bytes_recursive")
		s.Blkio.IOServiced = g.blkioV1("blkio.throttle.io_serviced_recursive")
	}
	if g := gs.find("hugetlb"); g != nil && !g.v2() {
		files, _ := filepath.Glob(g.dir + "/hugetlb.*.usage_in_bytes")
		for _, f := range files {
			if size := strings.Split(filepath.Base(f), ".")[1]; strings.Count(f, "rsvd") == 0 {
				s.Hugetlb[size] = g.memoryV1("hugetlb." + size + ".")
			}
		}
	}
	if g := gs.find("pids"); g != nil {
		g.tasks(s)
	}
	return s, nil
}

func (g *group) statsV2(s *Stats) {
	cpu := g.keyed("cpu.stat")
	s.CPU.Usage.Total, s.CPU.Usage.User, s.CPU.Usage.Kernel = cpu["usage_usec"]*1000, cpu["user_usec"]*1000, cpu["system_usec"]*1000
	s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods = cpu["nr_periods"], cpu["nr_throttled"]
	s.CPU.Throttling.ThrottledTime = cpu["throttled_usec"] * 1000
	s.CPUSet.CPUs, s.CPUSet.Mems = g.list("cpuset.cpus.effective"), g.list("cpuset.mems.effective")
	s.Memory.Raw = g.keyed("memory.stat")
	s.Memory.Cache = s.Memory.Raw["file"]
	s.Memory.Usage = MemoryUsage{g.number("memory.max"), g.number("memory.current"), g.number("memory.peak"), g.keyed("memory.events")["max"]}
	s.Memory.Swap = MemoryUsage{g.number("memory.swap.max"), g.number("memory.swap.current"), g.number("memory.swap.peak"), g.keyed("memory.swap.events")["max"]}
	// runc's words mean both together here, as v1 counts them.
	s.Memory.Swap.Usage += s.Memory.Usage.Usage
	if s.Memory.Swap.Limit += s.Memory.Usage.Limit; s.Memory.Swap.Limit < s.Memory.Usage.Limit {
		s.Memory.Swap.Limit = s.Memory.Usage.Limit
	}
	text, _ := readFile(g.dir, "io.stat")
	for line := range strings.Lines(text) { // 8:0 rbytes=1 wbytes=2 rios=3 wios=4 …
		fields := strings.Fields(line)
		major, minor, _ := strings.Cut(fields[0], ":")
		for _, f := range fields[1:] {
			key, n, _ := strings.Cut(f, "=")
			e := BlkioEntry{Major: number(major), Minor: number(minor), Value: number(n)}
			switch key {
			case "rbytes", "wbytes":
				e.Op = map[byte]string{'r': "Read", 'w': "Write"}[key[0]]
				s.Blkio.IOServiceBytes = append(s.Blkio.IOServiceBytes, e)
			case "rios", "wios":
				e.Op = map[byte]string{'r': "Read", 'w': "Write"}[key[0]]
				s.Blkio.IOServiced = append(s.Blkio.IOServiced, e)
			}
		}
	}
	files, _ := filepath.Glob(g.dir + "/hugetlb.*.current")
	for _, f := range files {
		if size := strings.Split(filepath.Base(f), ".")[1]; strings.Count(f, "rsvd") == 0 {
			s.Hugetlb[size] = MemoryUsage{Limit: g.number("hugetlb." + size + ".max"), Usage: g.number("hugetlb." + size + ".current"),
				Failcnt: g.keyed("hugetlb." + size + ".events")["max"]}
		}
	}
	g.tasks(s)
}

func (g *group) tasks(s *Stats) {
	s.Pids.Current = g.number("pids.current")
	if limit, _ := readFile(g.dir, "pids.max"); limit != "max" {
		s.Pids.Limit = number(limit)
	}
}

func (g *group) memoryV1(prefix string) MemoryUsage {
	return MemoryUsage{g.number(prefix + "limit_in_bytes"), g.number(prefix + "usage_in_bytes"), g.number(prefix + "max_usage_in_bytes"), g.number(prefix + "failcnt")}
}

// blkioV1 reads lines such as "8:0 Read 4096".
func (g *group) blkioV1(file string) (entries []BlkioEntry) {
	text, _ := readFile(g.dir, file)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if major, minor, ok := strings.Cut(fields[0], ":"); ok && len(fields) == 3 {
			entries = append(entries, BlkioEntry{number(major), number(minor), fields[1], number(fields[2])})
		}
	}
	return entries
}

// number reads a file of one number; "max" is the largest there is.
func (g *group) number(file string) uint64 {
	text, _ := readFile(g.dir, file)
	return number(text)
}

func number(text string) uint64 {
	if text == "max" {
		return 1<<64 - 1
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func (g *group) numbers(file string) (ns []uint64) {
	text, _ := readFile(g.dir, file)
	for _, f := range strings.Fields(text) {
		ns = append(ns, number(f))
	}
	return ns
}

// keyed reads lines of a key and a number.
func (g *group) keyed(file string) map[string]uint64 {
	keyed := map[string]uint64{}
	text, _ := readFile(g.dir, file)
	for line := range strings.Lines(text) {
		if key, n, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			keyed[key] = number(n)
		}
	}
	return keyed
}

// list reads CPUs or memory nodes: "0-2,7" → 0 1 2 7.
func (g *group) list(file string) (ns []uint16) {
	text, _ := readFile(g.dir, file)
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		if from == "" {
			continue
		}
		for n := number(from); n <= min(number(to), 1<<16-1); n++ {
			ns = append(ns, uint16(n))
		}
	}
	return ns
}

func sum(ns []uint64) (total uint64) {
	for _, n := range ns {
		total += n
	}
	return total
}
