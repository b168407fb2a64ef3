package namespaces

import (
	"os"

	"golang.org/x/sys/unix"

	"coracle/01-namespaces/seccomp"
)

// DefaultCapabilities is what a program keeps that asks for nothing: the 14 of
// Docker and containerd (moby, daemon/pkg/oci/caps/defaults.go) but CAP_MKNOD.
// Theirs goes with a list of devices in the cgroup; without one, real root would
// make a node for the machine's disk in its /dev.
var DefaultCapabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
	"CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// DefaultMasked and DefaultReadonly are the parts of /proc and /sys that tell of,
// or change, the whole machine (moby, daemon/pkg/oci/defaults.go).
var (
	DefaultMasked = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	DefaultReadonly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// Default returns the spec of a well isolated program below root, read-only with
// an empty /tmp if the root has that folder. An ordinary user gets a user
// namespace with the maps of DefaultIDMaps, real root none.
func Default(root string, args ...string) (*Spec, error) {
	caps := DefaultCapabilities
	spec := &Spec{
		Args:       args,
		Env:        []string{"PATH=" + defaultPath, "HOME=/root"},
		Namespaces: []Namespace{{Type: UTS}, {Type: PID}, {Type: Mnt}, {Type: IPC}, {Type: Net}, {Type: Cgroup}},
		Hostname:   "coracle",
		Root:       &Root{Path: root, Readonly: true},
		System:     true, MaskedPaths: DefaultMasked, ReadonlyPaths: DefaultReadonly,
		Capabilities: &caps, NoNewPrivs: true, Seccomp: seccomp.Default(),
	}
	if fi, err := os.Lstat(root + "/tmp"); err == nil && fi.IsDir() {
		spec.Tmpfs = []string{"/tmp"}
	}
	if !privileged() {
		spec.Namespaces = append(spec.Namespaces, Namespace{Type: UserNS})
		spec.UIDMap, spec.GIDMap = DefaultIDMaps()
	}
	return spec, nil
}

// privileged says whether this process may make namespaces without a user
// namespace: root may have lost the right, as in a container.
func privileged() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&hdr, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
