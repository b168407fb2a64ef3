package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/hostgroup"
	"coracle/internal/sandbox"
)

func TestPlanGroups(t *testing.T) {
	all := []hostgroup.Hierarchy{
		{Mount: "/c/cpu,cpuacct", Controllers: []string{"cpu", "cpuacct"}, Own: "/c/cpu,cpuacct/own"},
		{Mount: "/c/unified", Own: "/c/unified/a/own"},
	}
	for _, c := range []struct{ path, want string }{
		{"", "/c/cpu,cpuacct/own/ID /c/unified/a/ID"},
		{"/docker/x", "/c/cpu,cpuacct/docker/x /c/unified/docker/x"},
		{"rel/x", "/c/cpu,cpuacct/own/rel/x /c/unified/a/rel/x"},
		{"../../../x", "/c/cpu,cpuacct/own/x /c/unified/a/x"},
		{"/../../x", "/c/cpu,cpuacct/x /c/unified/x"},
	} {
		groups, err := planGroups(all, c.path, "ID")
		check.NoError(t, "planGroups "+c.path, err)
		check.Equal(t, "the folders of cgroupsPath "+c.path, c.want, groups[0].dir+" "+groups[1].dir)
	}
	gs := &groups{all: []group{{dir: "/c/cpu,cpuacct/x", controllers: []string{"cpu", "cpuacct"}}, {dir: "/c/u/x"}, {dir: "/c/s/x", controllers: []string{"name=systemd"}}}}
	back, err := loadCgroup(gs.paths())
	check.NoError(t, "loadCgroup", err)
	check.Equal(t, "what state.json keeps", fmt.Sprint(gs.paths()), fmt.Sprint(back.paths()))
	check.Equal(t, "whether cpuacct is found with cpu", "/c/cpu,cpuacct/x", back.(*groups).find("cpuacct").dir)
}

func p[T any](v T) *T { return &v }

// What is written for each resource, on v1 and on v2.
func TestPlanResources(t *testing.T) {
	exercise.NeedAll(t) // shares become a weight as 2.4 says
	disk := specs.LinuxBlockIODevice{Major: 8, Minor: 0}
	for _, c := range []struct {
		r      specs.LinuxResources
		v1, v2 string // "file=value …", or "! what an error names"
	}{
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](64 << 20), Swap: p[int64](96 << 20), Reservation: p[int64](1 << 20)}},
			"memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=100663296 memory.soft_limit_in_bytes=1048576",
			"memory.swap.max=33554432 memory.max=67108864 memory.low=1048576"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](-1)}}, "memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1", "memory.swap.max=max memory.max=max"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](2), Swap: p[int64](1)}}, "memory.limit_in_bytes=2 memory.memsw.limit_in_bytes=1", "! less than memory.limit"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: p[int64](1)}}, "memory.memsw.limit_in_bytes=1", "! memory.limit too"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{KernelTCP: p[int64](5), Swappiness: p[uint64](0), DisableOOMKiller: p(true)}},
			"memory.kmem.tcp.limit_in_bytes=5 memory.swappiness=0 memory.oom_control=1", "? memory.kernelTCP memory.swappiness memory.disableOOMKiller"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: p[uint64](1024), Quota: p[int64](50000), Period: p[uint64](100000), Burst: p[uint64](1000), Cpus: "0", Mems: "0"}},
			"cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 cpu.cfs_burst_us=1000 cpuset.cpus=0 cpuset.mems=0",
			"cpu.weight=39 cpu.max=50000 100000 cpu.max.burst=1000 cpuset.cpus=0 cpuset.mems=0"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: p[int64](-1), Idle: p[int64](1), Shares: p[uint64](2)}}, "cpu.shares=2 cpu.cfs_quota_us=-1 cpu.idle=1", "cpu.idle=1 cpu.max=max"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimeRuntime: p[int64](1)}}, "cpu.rt_runtime_us=1", "! realtimeRuntime"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: p[uint64](0), Quota: p[int64](0), Period: p[uint64](0)}, Pids: &specs.LinuxPids{Limit: p[int64](0)}}, "", ""},
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: p[int64](10)}}, "pids.max=10", "pids.max=10"},
		{specs.LinuxResources{Pids: &specs.LinuxPids{Limit: p[int64](-1)}}, "pids.max=max", "pids.max=max"},
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: p[uint16](1000), ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: 1024}},
			ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: disk, Rate: 0}}}},
			"blkio.bfq.weight=1000 blkio.throttle.read_bps_device=8:0 1024 blkio.throttle.write_iops_device=8:0 0",
			"io.weight=default 10000 io.max=8:0 rbps=1024 io.max=8:0 wiops=max"},
		{specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: p[uint16](5)}}, "blkio.bfq.weight=5", "! 10 to 1000"},
		{specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 7}}},
			"hugetlb.2MB.limit_in_bytes=7 hugetlb.2MB.rsvd.limit_in_bytes=7", "hugetlb.2MB.max=7 hugetlb.2MB.rsvd.max=7"},
		{specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../x"}}}, "! pageSize", "! pageSize"},
		{specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: p[uint32](5), Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 2}}}},
			"net_cls.classid=5 net_prio.ifpriomap=eth0 2", "! classID"},
		{specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx": {HcaHandles: p[uint32](3), HcaObjects: p[uint32](4)}}}, "rdma.max=mlx hca_handle=3 hca_object=4", "rdma.max=mlx hca_handle=3 hca_object=4"},
		{specs.LinuxResources{Unified: map[string]string{"memory.high": "5", "cgroup.max.depth": "1"}}, "! cgroup v2", "cgroup.max.depth=1 memory.high=5"},
		{specs.LinuxResources{Unified: map[string]string{"cgroup.procs": "1"}}, "! cgroup.procs", "! cgroup.procs"},
		{specs.LinuxResources{Unified: map[string]string{"../memory.max": "1"}}, "! no limit", "! no limit"},
	} {
		for v2, want := range map[bool]string{false: c.v1, true: c.v2} {
			text, _ := json.Marshal(c.r)
			what := fmt.Sprintf("%s, v2 %v", text, v2)
			plan, err := planResources(&c.r, v2)
			if part, bad := strings.CutPrefix(want, "! "); bad {
				check.ErrorHas(t, what, err, []string{part})
				continue
			}
			check.NoError(t, what, err)
			if fields, warned := strings.CutPrefix(want, "? "); warned {
				check.Equal(t, what+": settings", 0, len(plan.settings))
				for field := range strings.FieldsSeq(fields) {
					check.True(t, what+": warnings", slices.ContainsFunc(plan.warnings, func(w string) bool { return strings.HasPrefix(w, field+" ") }), fmt.Sprint(plan.warnings), "one for "+field)
				}
				continue
			}
			var got []string
			for _, s := range plan.settings {
				got = append(got, s.file+"="+s.value)
			}
			check.Equal(t, what, want, strings.Join(got, " "))
		}
	}
}

// limited is a container with a limit of each kind that needs no disk.
func limited(t *testing.T, script string) *bundle {
	b := newBundle(t, script)
	needGroups(t)
	b.Linux.CgroupsPath = "/box/" + b.id
	r := b.Linux.Resources
	r.Memory = &specs.LinuxMemory{Limit: p[int64](64 << 20)}
	r.CPU = &specs.LinuxCPU{Shares: p[uint64](512), Quota: p[int64](50000), Period: p[uint64](100000)}
	if sandbox.CurrentMode() == sandbox.Root {
		r.CPU.Cpus, r.CPU.Mems = "0", "0" // the controller that systemd delegates to nobody
	}
	r.Pids = &specs.LinuxPids{Limit: p[int64](20)}
	return b
}

// needGroups skips the test unless it may make groups with controllers of their own.
func needGroups(t *testing.T) {
	t.Helper()
	if pureV2(t) {
		sandbox.Need(t, sandbox.Controller("memory"), sandbox.Controller("pids"))
		return
	}
	sandbox.Need(t, sandbox.Feature{Name: "cgroup v1 of its own", Fix: "sudo, or ./lab vm", Has: func() error {
		return unix.Access("/sys/fs/cgroup/memory/cgroup.procs", unix.W_OK)
	}})
}

// file reads a file of the container's group in the hierarchy of a controller.
func (b *bundle) file(controller, name string) string {
	b.t.Helper()
	dir := "/sys/fs/cgroup"
	if !pureV2(b.t) {
		dir = filepath.Join(dir, controller)
	}
	text, err := os.ReadFile(filepath.Join(dir, b.Linux.CgroupsPath, name))
	check.NoError(b.t, "read "+name, err)
	return strings.TrimSpace(string(text))
}

// started creates and starts the container, and ends it with the test.
func (b *bundle) started() {
	b.t.Helper()
	b.write()
	cmd := b.command("run", "--detach", "--bundle", b.dir, b.id)
	// Files, not pipes: the container keeps them.
	out, err := os.Create(filepath.Join(b.dir, "out"))
	check.NoError(b.t, "make a file", err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	said, _ := os.ReadFile(out.Name())
	b.t.Cleanup(func() { b.do("delete", "--force", b.id) })
	check.NoError(b.t, "container run --detach: "+string(said), err)
}

func TestGroup_Limits(t *testing.T) {
	b := limited(t, "sleep 60 & sleep 60; wait")
	b.started()
	v1 := !pureV2(t)
	for _, c := range []struct{ controller, v1, v1Value, v2, v2Value string }{
		{"memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"},
		{"cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"},
		{"cpu", "cpu.shares", "512", "cpu.weight", "20"},
		{"pids", "pids.max", "20", "pids.max", "20"},
		{"cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"},
	} {
		if c.controller == "cpuset" && sandbox.CurrentMode() != sandbox.Root {
			continue
		}
		if v1 {
			check.Equal(t, c.v1, c.v1Value, b.file(c.controller, c.v1))
		} else {
			check.Equal(t, c.v2, c.v2Value, b.file(c.controller, c.v2))
		}
	}
	for _, controller := range []string{"memory", "pids", "devices", "freezer", "unified"} {
		if v1 || controller == "memory" {
			procs := ""
			check.Eventually(t, "the "+controller+" group", "the shell and two sleeps in it", func() bool {
				procs = b.file(controller, "cgroup.procs")
				return len(strings.Fields(procs)) == 3
			})
		}
	}

	state := b.cgroup()
	quota := int64(-1)
	check.NoError(t, "set", state.set(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota}, Memory: &specs.LinuxMemory{Limit: p[int64](32 << 20)}}))
	if v1 {
		check.Equal(t, "after an update", "-1 33554432 512", b.file("cpu", "cpu.cfs_quota_us")+" "+b.file("memory", "memory.limit_in_bytes")+" "+b.file("cpu", "cpu.shares"))
	} else {
		check.Equal(t, "after an update", "max 100000 33554432 20", b.file("cpu", "cpu.max")+" "+b.file("memory", "memory.max")+" "+b.file("cpu", "cpu.weight"))
	}
	err := state.set(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](4096), CheckBeforeUpdate: p(true)}})
	check.ErrorHas(t, "a limit below what is in use", err, []string{"4096", "in use"})
	stats, err := state.stats()
	check.NoError(t, "stats", err)
	check.True(t, "stats: memory and processes", stats.Memory.Usage.Limit == 32<<20 && stats.Memory.Usage.Usage > 0 && stats.Pids.Current >= 3 && stats.Pids.Limit == 20,
		fmt.Sprintf("%+v %+v", stats.Memory.Usage, stats.Pids), "32 MiB, some use; 3 or more (threads count) of 20")
	check.True(t, "stats: CPU", stats.CPU.Usage.Total > 0, "0", "some")
	if sandbox.CurrentMode() == sandbox.Root {
		check.Equal(t, "stats: the CPUs it may use", []uint16{0}, stats.CPUSet.CPUs)
	}

	check.NoError(t, "freeze", state.freeze())
	pids, err := state.pids()
	check.NoError(t, "pids", err)
	check.True(t, "frozen", state.frozen() && len(pids) == 3, fmt.Sprint(state.frozen(), pids), "true, 3 processes")
	check.NoError(t, "kill what is frozen", state.kill())
	pids, _ = state.pids()
	check.Equal(t, "processes after kill", 0, len(pids))
	_, errs, status := b.do("delete", "--force", b.id)
	check.Equal(t, "container delete --force "+errs, 0, status)
	check.NoError(t, "remove again", state.remove())
	left, _ := filepath.Glob("/sys/fs/cgroup/box/" + b.id)
	more, _ := filepath.Glob("/sys/fs/cgroup/*/box/" + b.id)
	check.Equal(t, "groups that are left", 0, len(left)+len(more))
}

// cgroup is the container's as another process of the runtime finds it.
func (b *bundle) cgroup() cgroup {
	b.t.Helper()
	hierarchies, err := hostgroup.Hierarchies()
	check.NoError(b.t, "find the groups", err)
	all, err := planGroups(hierarchies, b.Linux.CgroupsPath, b.id)
	check.NoError(b.t, "plan", err)
	cg, err := loadCgroup((&groups{all: all}).paths())
	check.NoError(b.t, "load", err)
	return cg
}

func TestGroup_PidsLimitHolds(t *testing.T) {
	b := limited(t, "while :; do sleep 60 & done")
	b.started()
	check.Eventually(t, "pids.events of a fork bomb", "a fork that was refused", func() bool {
		return !strings.HasSuffix(b.file("pids", "pids.events"), " 0")
	})
	stats, err := b.cgroup().stats()
	check.NoError(t, "stats", err)
	check.True(t, "processes and threads in the group", stats.Pids.Current <= 20, fmt.Sprint(stats.Pids), "at most 20")
}

func TestGroup_OwnViewInACgroupNamespace(t *testing.T) {
	b := limited(t, `cat /proc/self/cgroup | cut -d: -f3 | sort -u; (echo 1 > /sys/fs/cgroup/`+map[bool]string{true: "", false: "memory/"}[pureV2(t)]+`cgroup.procs) 2>/dev/null || echo closed`)
	b.prints("the paths of its groups, and writing to them", "/\nclosed")
	at := map[bool]string{true: "/sys/fs/cgroup/pids.max", false: "/sys/fs/cgroup/pids/pids.max"}[pureV2(t)]
	b = limited(t, "cat "+at)
	b.prints("its own limit by its own view", "20")
	if pureV2(t) {
		return
	}
	b.Linux.Namespaces = slices.DeleteFunc(b.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
	b.prints("the same without a cgroup namespace: its group is bound", "20")
}

func TestGroup_InUseIsRefused(t *testing.T) {
	b := limited(t, "exec sleep 60")
	b.started()
	other := limited(t, "true")
	other.Linux.CgroupsPath = b.Linux.CgroupsPath
	other.refused("a second container in the group", b.Linux.CgroupsPath, "in use")
	check.Equal(t, "the first is still in it", 1, len(strings.Fields(b.file("pids", "cgroup.procs"))))
}

// Nothing is delegated: the container runs, with one warning.
func TestGroup_NoneForAnOrdinaryUser(t *testing.T) {
	sandbox.Need(t)
	// Read-only in the sandbox, as the machine's groups are to an ordinary user.
	gs := &groups{rootless: true, all: []group{{dir: "/usr/nowhere", mount: "/usr"}}, resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: p[int64](5)}}}
	var said []string
	before := slog.Default()
	slog.SetDefault(slog.New(warnTo(func(msg string) { said = append(said, msg) })))
	defer slog.SetDefault(before)
	check.NoError(t, "make", gs.make())
	check.True(t, "the warnings", len(said) == 1 && strings.Contains(said[0], "Delegate=yes"), fmt.Sprint(said), "one, with the way out")
	check.Equal(t, "groups", 0, len(gs.paths()))
	check.ErrorIs(t, "freeze without a group", gs.freeze(), errNoGroup)
	check.True(t, "set without a group", gs.set(&specs.LinuxResources{}) != nil, "nil", "an error")
	birth, err := gs.birth()
	check.True(t, "birth without a group", birth == nil && err == nil, fmt.Sprint(birth, err), "nil")
	gs.rootless = false
	gs.all = []group{{dir: "/usr/nowhere", mount: "/usr"}}
	gs.made = false
	check.True(t, "make as real root in a read-only tree", errors.Is(gs.make(), unix.EROFS), "no EROFS", "EROFS")
}

// run on the pure interpreter below: what the program for a list decides.
func TestDeviceProgram_DecidesAsTheListReads(t *testing.T) {
	for _, c := range []struct {
		list  []specs.LinuxDeviceCgroup
		asked string // "c 1:3 r"
		want  bool
	}{
		{nil, "c 1:3 rw", true}, {nil, "c 1:3 m", true}, {nil, "b 8:0 r", false}, {nil, "b 8:0 m", true}, {nil, "b 8:0 mr", false},
		{nil, "c 136:7 rw", true}, {nil, "c 5:1 rw", false}, {nil, "b 1:3 r", false},
		{[]specs.LinuxDeviceCgroup{{Allow: true}}, "b 8:0 rwm", true},
		{[]specs.LinuxDeviceCgroup{{Allow: true}, {Allow: false}}, "b 8:0 r", false},
		{[]specs.LinuxDeviceCgroup{{Allow: true}, {Allow: false, Type: "b", Major: p[int64](8), Access: "w"}}, "b 8:0 w", false},
		{[]specs.LinuxDeviceCgroup{{Allow: true}, {Allow: false, Type: "b", Major: p[int64](8), Access: "w"}}, "b 8:0 rw", false},
		{[]specs.LinuxDeviceCgroup{{Allow: true}, {Allow: false, Type: "b", Major: p[int64](8), Access: "w"}}, "b 8:0 r", true},
		{[]specs.LinuxDeviceCgroup{{Allow: true}, {Allow: false, Type: "b", Major: p[int64](8), Access: "w"}}, "c 8:0 w", true},
		// Two rules that allow a part each allow both together.
		{[]specs.LinuxDeviceCgroup{{Allow: true, Type: "b", Major: p[int64](8), Minor: p[int64](0), Access: "r"}, {Allow: true, Type: "b", Major: p[int64](8), Access: "w"}}, "b 8:0 rw", true},
		{[]specs.LinuxDeviceCgroup{{Allow: true, Type: "b", Major: p[int64](8), Minor: p[int64](0), Access: "r"}}, "b 8:1 r", false},
	} {
		rules, err := deviceRules(c.list)
		check.NoError(t, "deviceRules", err)
		if !allowsAll(rules) {
			every, _ := deviceRules(everyDevice)
			rules = append(rules, every...)
		}
		check.Equal(t, fmt.Sprintf("%v: %s", rules, c.asked), c.want, decide(t, deviceProgram(rules), c.asked))
	}
}

// decide runs the few instructions that deviceProgram uses.
func decide(t *testing.T, program []bpfInsn, asked string) bool {
	t.Helper()
	f := strings.FieldsFunc(asked, func(r rune) bool { return r == ' ' || r == ':' })
	major, _ := strconv.Atoi(f[1])
	minor, _ := strconv.Atoi(f[2])
	var access uint32
	for _, c := range f[3] {
		access |= 1 << strings.IndexRune("mrw", c)
	}
	ctx := []uint32{access<<16 | map[string]uint32{"b": kindBlock, "c": kindChar}[f[0]], uint32(major), uint32(minor)}
	var r [11]uint64
	for pc, steps := 0, 0; steps < 1000; pc, steps = pc+1, steps+1 {
		i := program[pc]
		dst, src, imm := i.regs&15, i.regs>>4, uint64(int64(i.imm))
		jump := false
		switch i.code {
		case 0x61:
			r[dst] = uint64(ctx[i.off/4])
		case 0xb7:
			r[dst] = imm
		case 0xbf:
			r[dst] = r[src]
		case 0x57:
			r[dst] &= imm
		case 0x77:
			r[dst] >>= imm
		case 0x55:
			jump = r[dst] != imm
		case 0x45:
			jump = r[dst]&imm != 0
		case 0x05:
			jump = true
		case 0x95:
			return r[0] == 1
		default:
			t.Fatalf("instruction %#x", i.code)
		}
		if jump {
			pc += int(i.off)
		}
	}
	t.Fatal("the program does not end")
	return false
}
