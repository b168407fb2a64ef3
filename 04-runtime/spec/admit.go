package spec

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A Rejection is why a node does not take a pod at all: its phase is Failed, for good.
type Rejection struct{ Reason, Message string }

// safeSysctls concern the pod alone (pkg/kubelet/sysctl/safe_sysctls.go).
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}

// Admit says why this node must not run a pod, nil if it may: a sysctl that is not the
// pod's own or not allowed, and an AppArmor profile, which nobody here would enforce.
func Admit(pod *corev1.Pod, node Node) *Rejection {
	psc := pod.Spec.SecurityContext
	if psc != nil {
		for _, s := range psc.Sysctls {
			if why := sysctl(pod, sysctlName(s.Name), node); why != "" {
				return &Rejection{"SysctlForbidden", fmt.Sprintf("forbidden sysctl: %q %s", s.Name, why)}
			}
		}
	}
	wants := func(p *corev1.AppArmorProfile) bool {
		return p != nil && p.Type == corev1.AppArmorProfileTypeLocalhost
	}
	refused := psc != nil && wants(psc.AppArmorProfile)
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		refused = refused || c.SecurityContext != nil && wants(c.SecurityContext.AppArmorProfile)
	}
	if refused {
		return &Rejection{"AppArmor", "Cannot enforce AppArmor: this node's runtime loads no profiles"}
	}
	return nil
}

// sysctl says what is wrong with one, "" if nothing. Only those that the kernel keeps
// by namespace may be set, and only where the namespace is the pod's.
func sysctl(pod *corev1.Pod, name string, node Node) string {
	begins := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	ipc := begins("kernel.shm", "kernel.msg", "fs.mqueue.") || name == "kernel.sem"
	net := begins("net.")
	allowed := slices.ContainsFunc(slices.Concat(safeSysctls, node.UnsafeSysctls), func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	})
	switch {
	case !allowed || strings.Contains(name, ".."):
		return "not allowlisted"
	case net && pod.Spec.HostNetwork:
		return "not allowed with host net enabled"
	case ipc && pod.Spec.HostIPC:
		return "not allowed with host ipc enabled"
	case !net && !ipc:
		return "is not namespaced: it would be set for the whole node"
	}
	return ""
}

// sysctlName has dots where the API also takes slashes (sysctl.d(5)): after a first
// slash, a dot is part of a name: "net/ipv4/conf/eth0.1/forwarding".
func sysctlName(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '.' {
		return name
	}
	return strings.NewReplacer("/", ".", ".", "/").Replace(name)
}
