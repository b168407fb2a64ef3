package ours

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	chapter1 "coracle/01-namespaces"
	"coracle/01-namespaces/seccomp"
	"coracle/04-runtime/driver"
	"coracle/04-runtime/oci"
	"coracle/internal/hostgroup"
)

// spec is the bundle's config.json: the runtime's example, made into what is wanted.
func (d *Driver) spec(id, sandboxID string, s *sandbox, c driver.ContainerConfig, img v1.ImageConfig, mounts []specs.Mount) (*specs.Spec, error) {
	rootfs := d.path("containers", id, "rootfs")
	spec := oci.Example()
	spec.Hostname = ""
	spec.Root = &specs.Root{Path: rootfs, Readonly: c.Security.ReadonlyRoot}
	p := spec.Process
	p.Terminal, p.NoNewPrivileges, p.Rlimits = c.TTY, c.Security.NoNewPrivs, nil
	p.Args = arguments(c, img)
	if len(p.Args) == 0 {
		return nil, fmt.Errorf("container %s: no command specified", c.Name)
	}
	p.Cwd = path.Clean("/" + cmp.Or(c.Dir, img.WorkingDir))
	var home string
	var err error
	if p.User, home, err = account(rootfs, img.User, c.Security); err != nil {
		return nil, err
	}
	p.Env = environment(home, s.Config, c, img)
	caps := capabilities(c.Security)
	p.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	if adj, ok := oomScoreAdj(c.Resources.OOMScoreAdj); ok {
		p.OOMScoreAdj = &adj
	}

	l := spec.Linux
	l.CgroupsPath = path.Join(d.Cgroup, s.Config.CgroupParent, id)
	l.Resources = resources(c.Resources)
	l.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.CgroupNamespace}}
	for _, ns := range namespaces(s.Config) {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: ns.spec, Path: d.namespace(sandboxID, ns.kind)})
	}
	if !s.Config.HostPID && !s.Config.SharePID {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	switch sec := c.Security; {
	case sec.Privileged || sec.Unconfined:
	case sec.Seccomp != nil:
		l.Seccomp = sec.Seccomp
	default:
		l.Seccomp = seccomp.Default()
	}
	if c.Security.Privileged || c.Security.Unmasked {
		l.MaskedPaths, l.ReadonlyPaths = nil, nil
	}
	d.systemMounts(spec, sandboxID, s, c)
	spec.Mounts = append(spec.Mounts, mounts...)
	// What is mounted in another mount comes after it.
	slices.SortStableFunc(spec.Mounts, func(a, b specs.Mount) int { return depth(a.Destination) - depth(b.Destination) })
	return spec, addDevices(spec, c)
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// systemMounts turns the example's mounts into a pod's.
func (d *Driver) systemMounts(spec *specs.Spec, sandboxID string, s *sandbox, c driver.ContainerConfig) {
	pure := pureV2()
	spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool {
		return m.Destination == "/dev/shm" || m.Type == "cgroup" && !pure && !realRoot() // v1's are the machine's
	})
	for i, m := range spec.Mounts {
		if m.Type == "devpts" && !hasGroup(5, s.Config.UserNS) {
			spec.Mounts[i].Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "gid=5" })
		}
		if c.Security.Privileged && (m.Type == "sysfs" || m.Type == "cgroup") {
			spec.Mounts[i].Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		}
	}
	shm := d.path("sandboxes", sandboxID, "shm")
	if s.Config.HostIPC {
		shm = "/dev/shm"
	}
	bind := func(to, from string, options ...string) {
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: to, Type: "bind", Source: from, Options: append(options, "rbind")})
	}
	bind("/dev/shm", shm)
	mode := "rw"
	if c.Security.ReadonlyRoot {
		mode = "ro"
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		if !slices.ContainsFunc(c.Mounts, func(m driver.Mount) bool { return path.Clean(m.Target) == "/etc/"+name }) {
			bind("/etc/"+name, d.path("sandboxes", sandboxID, name), mode)
		}
	}
}

func arguments(c driver.ContainerConfig, img v1.ImageConfig) []string {
	switch {
	case len(c.Command) > 0:
		return slices.Concat(c.Command, c.Args)
	case len(c.Args) > 0:
		return slices.Concat(img.Entrypoint, c.Args)
	}
	return slices.Concat(img.Entrypoint, img.Cmd)
}

// environment puts the sources one above another: the later ones win.
func environment(home string, s driver.SandboxConfig, c driver.ContainerConfig, img v1.ImageConfig) (env []string) {
	all := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + s.Hostname, "HOME=" + home}
	if c.TTY {
		all = append(all, "TERM=xterm")
	}
	at := map[string]int{}
	for _, e := range slices.Concat(all, img.Env, c.Env) {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			env[i] = e
			continue
		}
		at[name] = len(env)
		env = append(env, e)
	}
	return env
}

func capabilities(s driver.Security) []string {
	set := map[string]bool{}
	change := func(names []string, to bool) {
		for _, n := range names {
			if n = strings.ToUpper(n); n == "ALL" {
				for _, all := range chapter1.CapabilityNames() {
					set[all] = to
				}
				continue
			}
			set["CAP_"+strings.TrimPrefix(n, "CAP_")] = to
		}
	}
	change(chapter1.DefaultCapabilities, true)
	if s.Privileged {
		change([]string{"ALL"}, true)
	}
	// "ALL" first, so that one may be added to none, or dropped from all.
	all := func(n string) bool { return strings.EqualFold(n, "ALL") }
	if slices.ContainsFunc(s.Add, all) {
		change([]string{"ALL"}, true)
	}
	if slices.ContainsFunc(s.Drop, all) {
		change([]string{"ALL"}, false)
	}
	one := func(names []string) []string { return slices.DeleteFunc(slices.Clone(names), all) }
	change(one(s.Add), true)
	change(one(s.Drop), false)
	var names []string
	for _, n := range chapter1.CapabilityNames() {
		if set[n] {
			names = append(names, n)
			delete(set, n)
		}
	}
	for n, wanted := range set { // a name that there is none of: the runtime says so
		if wanted {
			names = append(names, n)
		}
	}
	return names
}

// resources is what a group is given. Without a word about swap there is none.
func resources(r driver.Resources) *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if r.CPUShares > 0 || r.MilliCPULimit > 0 {
		out.CPU = &specs.LinuxCPU{}
		if r.CPUShares > 0 {
			shares := uint64(r.CPUShares)
			out.CPU.Shares = &shares
		}
		if r.MilliCPULimit > 0 {
			period := uint64(100_000)
			if r.CPUPeriod > 0 {
				period = uint64(r.CPUPeriod.Microseconds())
			}
			quota := max(int64(period)*r.MilliCPULimit/1000, 1000) // less the kernel refuses
			out.CPU.Period, out.CPU.Quota = &period, &quota
		}
	}
	if r.MemoryLimit > 0 {
		out.Memory = &specs.LinuxMemory{Limit: &r.MemoryLimit}
		if _, ok := r.Unified["memory.swap.max"]; !ok && swapLimits() {
			out.Memory.Swap = &r.MemoryLimit // memory and swap together
		}
	}
	if r.PidsLimit > 0 {
		out.Pids = &specs.LinuxPids{Limit: &r.PidsLimit}
	}
	if pureV2() {
		out.Unified = r.Unified
	}
	return out
}

func pureV2() bool {
	all, err := hostgroup.Mounted()
	return err == nil && len(all) == 1 && all[0].V2()
}

// swapLimits says whether the kernel counts swap: v1's may not.
func swapLimits() bool {
	all, err := hostgroup.Mounted()
	for _, h := range all {
		if slices.Contains(h.Controllers, "memory") {
			_, err := os.Stat(h.Mount + "/memory.memsw.limit_in_bytes")
			return err == nil
		}
	}
	return err == nil && pureV2()
}

// realRoot says whether this is root of the machine, not of a part.
func realRoot() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Geteuid() == 0 && strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295"
}

// hasGroup says whether a group exists in a pod.
func hasGroup(gid uint32, maps *driver.IDMaps) bool {
	if maps != nil {
		return slices.ContainsFunc(maps.GIDs, func(m specs.LinuxIDMapping) bool { return gid >= m.ContainerID && gid-m.ContainerID < m.Size })
	}
	text, _ := os.ReadFile("/proc/self/gid_map")
	for line := range strings.Lines(string(text)) {
		var inside, outside, size uint32
		if n, _ := fmt.Sscan(line, &inside, &outside, &size); n == 3 && gid >= inside && gid-inside < size {
			return true
		}
	}
	return false
}

// oomScoreAdj is what can be had: less than our own takes a capability (proc_pid_oom_score_adj(5)).
func oomScoreAdj(want int) (int, bool) {
	if realRoot() {
		return want, true
	}
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	own, numErr := strconv.Atoi(strings.TrimSpace(string(text)))
	return max(want, own), err == nil && numErr == nil
}

// addDevices adds a container's devices; a privileged one gets all of the node's.
func addDevices(spec *specs.Spec, c driver.ContainerConfig) error {
	l := spec.Linux
	l.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: c.Security.Privileged, Access: "rwm"}}
	devices := slices.Clone(c.Devices)
	if c.Security.Privileged {
		entries, err := os.ReadDir("/dev")
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type()&os.ModeDevice != 0 && e.Name() != "console" && e.Name() != "tty" && e.Name() != "ptmx" {
				devices = append(devices, driver.Device{Source: "/dev/" + e.Name()})
			}
		}
	}
	for _, dev := range devices {
		fi, err := os.Stat(dev.Source)
		if err != nil {
			return fmt.Errorf("device: %w", err)
		}
		st := fi.Sys().(*syscall.Stat_t)
		mode, uid, gid := fi.Mode().Perm(), uint32(0), uint32(0)
		out := specs.LinuxDevice{Path: cmp.Or(dev.Target, dev.Source), Type: "b", Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), FileMode: &mode, UID: &uid, GID: &gid}
		switch {
		case fi.Mode()&os.ModeCharDevice != 0:
			out.Type = "c"
		case fi.Mode()&os.ModeDevice == 0:
			return fmt.Errorf("device %s: is none", dev.Source)
		}
		l.Devices = append(l.Devices, out)
		if !c.Security.Privileged {
			l.Resources.Devices = append(l.Resources.Devices, specs.LinuxDeviceCgroup{
				Allow: true, Type: out.Type, Major: &out.Major, Minor: &out.Minor, Access: cmp.Or(dev.Permissions, "rwm"),
			})
		}
	}
	return nil
}
