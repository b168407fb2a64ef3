package spec

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"coracle/04-runtime/driver"
	"coracle/04-runtime/pod"
)

// DNSDefaults are the node's: of resolv.conf, and of the cluster where there is one.
type DNSDefaults struct {
	Node    driver.DNS
	Cluster []string // addresses of the cluster's DNS; none before chapter 7
	Domain  string   // "cluster.local"
}

// SandboxInput is what is known when a pod's sandbox is to be made.
type SandboxInput struct {
	Attempt  int
	Hostname string // the node's, for pods on its network
	LogDir   string
	UserNS   *driver.IDMaps // with hostUsers: false; see IDRanges
	DNS      DNSDefaults
}

// Sandbox is what the driver is told of the pod as a whole.
func Sandbox(p *corev1.Pod, in SandboxInput) (driver.SandboxConfig, error) {
	s := &p.Spec
	config := driver.SandboxConfig{
		UID: string(p.UID), Name: p.Name, Namespace: p.Namespace, Attempt: in.Attempt,
		Hostname:    hostname(p, in.Hostname),
		Labels:      map[string]string{pod.LabelName: p.Name, pod.LabelNamespace: p.Namespace, pod.LabelUID: string(p.UID)},
		LogDir:      in.LogDir,
		HostNetwork: s.HostNetwork, HostPID: s.HostPID, HostIPC: s.HostIPC, SharePID: isTrue(s.ShareProcessNamespace),
		DNS: dns(p, in.DNS), Hosts: hosts(s.HostAliases),
		CgroupParent: pod.GroupPath(p), Resources: pod.PodResources(p),
	}
	if s.HostUsers != nil && !*s.HostUsers {
		if config.UserNS = in.UserNS; in.UserNS == nil {
			return config, fmt.Errorf("hostUsers false: this node has no ids to give to pod %s", p.Name)
		}
	}
	if s.SecurityContext != nil {
		for _, sysctl := range s.SecurityContext.Sysctls {
			if config.Sysctls == nil {
				config.Sysctls = map[string]string{}
			}
			config.Sysctls[sysctlName(sysctl.Name)] = sysctl.Value
		}
	}
	// Init containers' ports count only if they stay.
	for _, c := range s.InitContainers {
		if pod.IsSidecar(&c) {
			config.Ports = append(config.Ports, ports(s.HostNetwork, c.Ports)...)
		}
	}
	for _, c := range s.Containers {
		config.Ports = append(config.Ports, ports(s.HostNetwork, c.Ports)...)
	}
	return config, nil
}

// ports are those that lead from the node into the pod; on the node's own network none need to.
func ports(host bool, all []corev1.ContainerPort) (out []driver.Port) {
	for _, p := range all {
		if p.HostPort != 0 && !host {
			out = append(out, driver.Port{HostIP: p.HostIP, HostPort: int(p.HostPort), ContainerPort: int(p.ContainerPort), Protocol: strings.ToLower(string(p.Protocol))})
		}
	}
	return out
}

// hostname is what the pod says, or its name, as far as a hostname goes: 63 bytes.
func hostname(p *corev1.Pod, node string) string {
	switch {
	case p.Spec.HostNetwork:
		return node
	case p.Spec.Hostname != "":
		return p.Spec.Hostname
	case len(p.Name) > 63:
		return strings.TrimRight(p.Name[:63], "-.")
	}
	return p.Name
}

// hosts are the lines of hostAliases, as the kubelet writes them.
func hosts(aliases []corev1.HostAlias) []byte {
	var b []byte
	for _, a := range aliases {
		b = fmt.Appendf(b, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, "\t"))
	}
	return b
}

// dns is a pod's resolv.conf by its policy, with what dnsConfig adds
// (pkg/kubelet/network/dns/dns.go). Where there is no cluster DNS, the node's serves.
func dns(p *corev1.Pod, from DNSDefaults) *driver.DNS {
	policy, d := p.Spec.DNSPolicy, driver.DNS{}
	cluster := policy == corev1.DNSClusterFirstWithHostNet || policy == corev1.DNSClusterFirst && !p.Spec.HostNetwork
	switch {
	case policy == corev1.DNSNone:
	case cluster && len(from.Cluster) > 0:
		d.Servers, d.Options = slices.Clone(from.Cluster), []string{"ndots:5"}
		if from.Domain != "" {
			d.Searches = []string{p.Namespace + ".svc." + from.Domain, "svc." + from.Domain, from.Domain}
		}
		d.Searches = append(d.Searches, from.Node.Searches...)
	default:
		d = driver.DNS{Servers: slices.Clone(from.Node.Servers), Searches: slices.Clone(from.Node.Searches), Options: slices.Clone(from.Node.Options)}
	}
	if c := p.Spec.DNSConfig; c != nil {
		d.Servers = unique(append(d.Servers, c.Nameservers...))
		d.Searches = unique(append(d.Searches, c.Searches...))
		for _, o := range c.Options { // a name that is there is replaced
			d.Options = slices.DeleteFunc(d.Options, func(have string) bool { name, _, _ := strings.Cut(have, ":"); return name == o.Name })
			text := o.Name
			if o.Value != nil && *o.Value != "" {
				text += ":" + *o.Value
			}
			d.Options = append(d.Options, text)
		}
	}
	return &d
}

func unique(all []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
