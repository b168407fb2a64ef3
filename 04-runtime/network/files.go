package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// DNS is what resolv.conf says (resolv.conf(5)): a pod's dnsConfig, the node's, or
// the cluster's. An option is "name" or "name:value".
type DNS struct{ Servers, Searches, Options []string }

// What resolvers take, and Kubernetes with them (pkg/apis/core/validation).
const (
	maxServers     = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

// A Resolver decides what a pod's resolv.conf says.
type Resolver struct {
	Node    DNS    // the node's resolv.conf, see ParseResolvConf
	Cluster DNS    // Servers of the cluster's DNS; none before chapter 7
	Domain  string // the cluster's, "cluster.local"
}

// Resolve does what a pod's dnsPolicy and dnsConfig say (pkg/kubelet/network/dns):
//
//	ClusterFirst             the cluster's servers and domains, options ndots:5; but
//	                         the node's with hostNetwork, or where there is no cluster DNS
//	ClusterFirstWithHostNet  the same, with hostNetwork too
//	Default                  the node's
//	None                     nothing
//
// and then what config adds: servers and searches behind, an option instead of that
// of the same name. What is more than resolvers take is cut off; notes say so, and
// other things that a person should hear of.
func (r Resolver) Resolve(policy, namespace string, hostNetwork bool, config DNS) (d DNS, notes []string, err error) {
	switch {
	case policy == "None":
		if len(config.Servers) == 0 {
			return d, nil, fmt.Errorf("dnsPolicy None: want at least one server in dnsConfig")
		}
	case policy == "Default", (policy == "ClusterFirst" || policy == "") && hostNetwork:
		d = r.Node
	case policy == "ClusterFirst", policy == "", policy == "ClusterFirstWithHostNet":
		if len(r.Cluster.Servers) == 0 {
			notes = append(notes, "MissingClusterDNS: there is no cluster DNS; using the policy Default")
			d = r.Node
			break
		}
		d.Servers = r.Cluster.Servers
		d.Searches = []string{namespace + ".svc." + r.Domain, "svc." + r.Domain, r.Domain}
		for _, s := range r.Node.Searches {
			d.Searches = addOnce(d.Searches, s)
		}
		d.Options = []string{"ndots:5"}
	default:
		return d, nil, fmt.Errorf("dnsPolicy %q: want ClusterFirst, ClusterFirstWithHostNet, Default or None", policy)
	}
	d = DNS{slices.Clone(d.Servers), slices.Clone(d.Searches), slices.Clone(d.Options)}
	for _, s := range config.Servers {
		d.Servers = addOnce(d.Servers, s)
	}
	for _, s := range config.Searches {
		d.Searches = addOnce(d.Searches, s)
	}
	for _, o := range config.Options {
		name, _, _ := strings.Cut(o, ":")
		d.Options = append(slices.DeleteFunc(d.Options, func(have string) bool {
			n, _, _ := strings.Cut(have, ":")
			return n == name
		}), o)
	}
	return d, append(notes, d.limit()...), nil
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (d *DNS) limit() (notes []string) {
	if len(d.Servers) > maxServers {
		d.Servers = d.Servers[:maxServers]
		notes = append(notes, "DNSConfigForming: nameserver limits were exceeded, the applied ones are: "+strings.Join(d.Servers, " "))
	}
	n := len(d.Searches)
	for len(d.Searches) > maxSearches || len(strings.Join(d.Searches, " ")) > maxSearchChars {
		d.Searches = d.Searches[:len(d.Searches)-1]
	}
	if len(d.Searches) < n {
		notes = append(notes, "DNSConfigForming: search line limits were exceeded, the applied search line is: "+strings.Join(d.Searches, " "))
	}
	return notes
}

// File is the text of resolv.conf.
func (d DNS) File() []byte {
	var b bytes.Buffer
	if len(d.Searches) > 0 {
		fmt.Fprintln(&b, "search", strings.Join(d.Searches, " "))
	}
	for _, s := range d.Servers {
		fmt.Fprintln(&b, "nameserver", s)
	}
	if len(d.Options) > 0 {
		fmt.Fprintln(&b, "options", strings.Join(d.Options, " "))
	}
	return b.Bytes()
}

// ParseResolvConf reads a resolv.conf: the last search or domain counts, and what is
// no keyword of ours does not.
func ParseResolvConf(text []byte) (d DNS) {
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			d.Servers = append(d.Servers, f[1])
		case "search":
			d.Searches = f[1:]
		case "domain":
			d.Searches = f[1:2]
		case "options":
			d.Options = append(d.Options, f[1:]...)
		}
	}
	return d
}

// A HostAlias is a line that a pod asks for in its /etc/hosts.
type HostAlias struct {
	IP    string
	Names []string
}

// HostsFile is the text of a pod's /etc/hosts, as the kubelet writes it. With
// hostNetwork it begins with the node's own, given as node; domain is the pod's,
// "web.default.svc.cluster.local", or "".
func HostsFile(hostname, domain string, addrs []netip.Addr, aliases []HostAlias, node []byte) []byte {
	var b bytes.Buffer
	if node != nil {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(node)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		for _, a := range addrs {
			if domain != "" {
				fmt.Fprintf(&b, "%v\t%s.%s\t%s\n", a, hostname, domain, hostname)
			} else {
				fmt.Fprintf(&b, "%v\t%s\n", a, hostname)
			}
		}
	}
	if len(aliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
	}
	for _, a := range aliases {
		fmt.Fprintf(&b, "%s\t%s\n", a.IP, strings.Join(a.Names, "\t"))
	}
	return b.Bytes()
}

// maxHostname is what sethostname(2) takes.
const maxHostname = 64

// Hostname is what a pod's hostname(1) says: the one that it asks for, or its name, as
// far as one label goes (RFC 1035, 63); with asFQDN, the domain as well.
func Hostname(pod, hostname, domain string, asFQDN bool) (string, error) {
	name := hostname
	if name == "" {
		name = pod
		if len(name) > 63 {
			name = strings.TrimRight(name[:63], "-.")
		}
	}
	if asFQDN && domain != "" {
		name += "." + domain
	}
	if len(name) > maxHostname || name == "" {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)", name, maxHostname, len(name))
	}
	return name, nil
}
