package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	namespaces "coracle/01-namespaces"
)

func specFlags(s *flag.FlagSet, f *flags) {
	s.BoolVar(&f.rootless, "rootless", false, "for an ordinary user: in a user namespace, with the caller as root")
	s.StringVar(&f.Bundle, "bundle", ".", "folder that config.json goes to")
	s.StringVar(&f.Bundle, "b", ".", "folder that config.json goes to")
}

func (c *cli) spec(f *flags, _ []string) (int, error) {
	spec := Example()
	if f.rootless {
		MakeRootless(spec, os.Geteuid(), os.Getegid())
	}
	b, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return 0, err
	}
	file, err := os.OpenFile(filepath.Join(f.Bundle, "config.json"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%w: it is not overwritten", err)
	} else if err != nil {
		return 0, err
	}
	_, err = file.Write(append(b, '\n'))
	return 0, errors.Join(err, file.Close())
}

// Example is a container to begin with, runc's: a shell on a terminal, as root with
// three capabilities, read-only, in namespaces of its own.
func Example() *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	mount := func(dest, fstype, source string, options ...string) specs.Mount {
		return specs.Mount{Destination: dest, Type: fstype, Source: source, Options: options}
	}
	return &specs.Spec{
		Version: specs.Version, Hostname: "coracle",
		Root: &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{
			Terminal: true, Args: []string{"sh"}, Cwd: "/", NoNewPrivileges: true,
			Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
		},
		Mounts: []specs.Mount{
			mount("/proc", "proc", "proc"),
			mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
			mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
			mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
			mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
			mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
			mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
		},
		Linux: &specs.Linux{
			MaskedPaths:   slices.Clone(namespaces.DefaultMasked),
			ReadonlyPaths: slices.Clone(namespaces.DefaultReadonly),
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace}},
		},
	}
}

// MakeRootless changes a spec to what an ordinary user can have: a user namespace in
// which he is root and nobody else exists, the machine's network, no limits.
func MakeRootless(spec *specs.Spec, uid, gid int) {
	l := spec.Linux
	l.Namespaces = slices.DeleteFunc(l.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.NetworkNamespace })
	l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(uid), Size: 1}}
	l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(gid), Size: 1}}
	l.Resources = nil
	spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
	for i, m := range spec.Mounts {
		if m.Type == "sysfs" { // belongs to the network namespace's owner: a copy of the machine's, read-only
			spec.Mounts[i] = specs.Mount{Destination: m.Destination, Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
		}
		spec.Mounts[i].Options = slices.DeleteFunc(spec.Mounts[i].Options, func(o string) bool { return strings.HasPrefix(o, "gid=") || strings.HasPrefix(o, "uid=") })
	}
}

func (c *cli) features(*flags, []string) (int, error) {
	yes, no := true, false
	f := features.Features{
		OCIVersionMin: "1.0.0", OCIVersionMax: specs.Version,
		Hooks:        []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions: mountOptionNames(),
		Linux: &features.Linux{
			Capabilities: namespaces.CapabilityNames(),
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &no, SystemdUser: &no, Rdma: &no},
			Seccomp:      &features.Seccomp{Enabled: &yes},
			Apparmor:     &features.Apparmor{Enabled: &no}, Selinux: &features.Selinux{Enabled: &no},
			IntelRdt: &features.IntelRdt{Enabled: &no},
		},
		Annotations: map[string]string{"coracle.version": Version},
	}
	for kind := range kinds {
		f.Linux.Namespaces = append(f.Linux.Namespaces, string(kind))
	}
	slices.Sort(f.Linux.Namespaces)
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return 0, enc.Encode(f)
}

// mountOptionNames are the words that mean something in a mount's options; every other
// is told to the file system.
func mountOptionNames() []string {
	names := append(slices.Collect(maps.Keys(mountOptions)), slices.Collect(maps.Keys(propagations))...)
	slices.Sort(names)
	return names
}
