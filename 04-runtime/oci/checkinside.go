package oci

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	namespaces "coracle/01-namespaces"
	"coracle/01-namespaces/seccomp"
)

// checkInside finds, before anything is made, what of the spec the inside cannot be.
// Nothing is dropped in silence: what is refused is an error that names the field,
// what does no harm is a warning.
func checkInside(spec *specs.Spec, rootless bool) error {
	for _, check := range []func(*specs.Spec) error{checkForeign, checkUnbuilt, checkMounts, checkDevices, checkSysctls, checkRights} {
		if err := check(spec); err != nil {
			return fmt.Errorf("config.json: %w", err)
		}
	}
	if spec.Linux.Seccomp != nil {
		if _, err := seccomp.Flags(spec.Linux.Seccomp); err != nil {
			return fmt.Errorf("config.json: linux.seccomp: %w", err)
		}
	}
	if spec.Process != nil {
		warnOfCapabilities(spec)
	}
	return nil
}

// checkForeign warns of parts for other kinds of machines: the runtime-spec wants them ignored.
func checkForeign(spec *specs.Spec) error {
	for name, given := range map[string]bool{"solaris": spec.Solaris != nil, "windows": spec.Windows != nil, "vm": spec.VM != nil,
		"zos": spec.ZOS != nil, "freebsd": spec.FreeBSD != nil, "process.commandLine": spec.Process != nil && spec.Process.CommandLine != "",
		"process.user.username": spec.Process != nil && spec.Process.User.Username != ""} {
		if given {
			slog.Warn("config.json: " + name + " is not for Linux and ignored")
		}
	}
	return nil
}

// checkUnbuilt refuses what is not built.
func checkUnbuilt(spec *specs.Spec) error {
	l := spec.Linux
	switch {
	case l.IntelRdt != nil:
		return errors.New("linux.intelRdt: cache and bandwidth of the processor are not shared out here: leave it out")
	case l.MemoryPolicy != nil:
		return errors.New("linux.memoryPolicy: nodes of memory are not chosen here: use resources.cpu.mems")
	case len(l.NetDevices) > 0:
		return errors.New("linux.netDevices: links are not moved here: move them with ip link set DEV netns PID in a createRuntime hook")
	case l.MountLabel != "":
		return fmt.Errorf("linux.mountLabel %q: SELinux is not served here: run the engine without it (dockerd --selinux-enabled=false)", l.MountLabel)
	case l.Personality != nil && l.Personality.Domain != specs.PerLinux && l.Personality.Domain != specs.PerLinux32:
		return fmt.Errorf("linux.personality: domain %q: want LINUX or LINUX32", l.Personality.Domain)
	case l.Personality != nil && len(l.Personality.Flags) > 0:
		return fmt.Errorf("linux.personality: flag %q: none is defined", l.Personality.Flags[0])
	case l.RootfsPropagation != "" && propagations[l.RootfsPropagation] == 0:
		return fmt.Errorf("linux.rootfsPropagation %q: want private, slave, shared or unbindable, or one of these with an r", l.RootfsPropagation)
	}
	p := spec.Process
	if p == nil {
		return nil
	}
	if p.SelinuxLabel != "" {
		return fmt.Errorf("process.selinuxLabel %q: SELinux is not served here: run the engine without it (dockerd --selinux-enabled=false)", p.SelinuxLabel)
	}
	if p.ApparmorProfile != "" && p.ApparmorProfile != "unconfined" {
		if b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || string(b) != "Y\n" {
			return fmt.Errorf("process.apparmorProfile %q: AppArmor is not enabled on this machine: leave it out", p.ApparmorProfile)
		}
	}
	if p.ExecCPUAffinity != nil {
		slog.Warn("process.execCPUAffinity is not honoured: exec runs on the CPUs of resources.cpu.cpus")
	}
	return nil
}

func checkMounts(spec *specs.Spec) error {
	for i, m := range spec.Mounts {
		p, err := planMount(m)
		if err != nil {
			return fmt.Errorf("mounts[%d]: %w", i, err)
		}
		if !filepath.IsAbs(m.Destination) {
			slog.Warn(fmt.Sprintf("config.json: mounts[%d]: destination %q is not absolute: taken as /%[2]s", i, m.Destination))
		}
		if p.bind && !filepath.IsAbs(m.Source) {
			return fmt.Errorf("mounts[%d]: source %q is not absolute", i, m.Source)
		}
		if clean(m.Destination) == "/" {
			return fmt.Errorf("mounts[%d]: a mount on / would be another root: name it as root.path", i)
		}
	}
	for _, p := range slices.Concat(spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths) {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("linux.maskedPaths and readonlyPaths: %q is not absolute", p)
		}
	}
	return nil
}

func checkDevices(spec *specs.Spec) error {
	for i, d := range spec.Linux.Devices {
		if !filepath.IsAbs(d.Path) || clean(d.Path) == "/" {
			return fmt.Errorf("linux.devices[%d]: path %q is not absolute", i, d.Path)
		}
		if _, ok := deviceKinds[d.Type]; !ok {
			return fmt.Errorf("linux.devices[%d]: type %q: want c, b, u or p", i, d.Type)
		}
	}
	if r := spec.Linux.Resources; r != nil {
		_, err := deviceRules(r.Devices)
		return err
	}
	return nil
}

func checkRights(spec *specs.Spec) error {
	p := spec.Process
	if p == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, r := range p.Rlimits {
		switch _, known := rlimits[r.Type]; {
		case !known:
			return fmt.Errorf("process.rlimits: %q is no resource limit", r.Type)
		case seen[r.Type]:
			return fmt.Errorf("process.rlimits: %s is listed twice", r.Type)
		case r.Soft > r.Hard:
			return fmt.Errorf("process.rlimits: %s: the soft limit %d is above the hard limit %d", r.Type, r.Soft, r.Hard)
		}
		seen[r.Type] = true
	}
	if o := p.OOMScoreAdj; o != nil && (*o < -1000 || *o > 1000) {
		return fmt.Errorf("process.oomScoreAdj %d: want -1000 to 1000", *o)
	}
	if o := p.IOPriority; o != nil {
		if _, known := ioClasses[o.Class]; !known || o.Priority < 0 || o.Priority > 7 {
			return fmt.Errorf("process.ioPriority: %q %d: want IOPRIO_CLASS_RT, _BE or _IDLE, and 0 to 7", o.Class, o.Priority)
		}
	}
	if s := p.Scheduler; s != nil {
		if _, known := policies[s.Policy]; !known {
			return fmt.Errorf("process.scheduler: policy %q: want one of %v", s.Policy, slices.Sorted(maps.Keys(policies)))
		}
		for _, f := range s.Flags {
			if policyFlags[f] == 0 {
				return fmt.Errorf("process.scheduler: flag %q is not known", f)
			}
		}
	}
	return nil
}

// warnOfCapabilities says which cannot be given: a program asks for what it could
// use, and a rootless or nested caller has less.
func warnOfCapabilities(spec *specs.Spec) {
	c := spec.Process.Capabilities
	if c == nil {
		return
	}
	held := heldCapabilities(spec)
	known := namespaces.CapabilityNames()
	var unknown, missing []string
	names := slices.Concat(c.Bounding, c.Effective, c.Inheritable, c.Permitted, c.Ambient)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if n := slices.Index(known, name); n < 0 {
			unknown = append(unknown, name)
		} else if held&(1<<n) == 0 {
			missing = append(missing, name)
		}
	}
	if len(unknown) > 0 {
		slog.Warn("capabilities that are not known here are not given: " + strings.Join(unknown, " "))
	}
	if len(missing) > 0 {
		slog.Warn("capabilities that this process does not have are not given: " + strings.Join(missing, " "))
	}
}

// heldCapabilities are those that a program here could be given: all, if the container
// has a user namespace of its own.
func heldCapabilities(spec *specs.Spec) uint64 {
	if has(spec, specs.UserNamespace) {
		return 1<<64 - 1
	}
	held := uint64(1<<64 - 1)
	b, _ := os.ReadFile("/proc/thread-self/status")
	for line := range strings.Lines(string(b)) {
		key, text, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if key == "CapPrm" || key == "CapBnd" {
			bits, _ := strconv.ParseUint(text, 16, 64)
			held &= bits
		}
	}
	return held
}
