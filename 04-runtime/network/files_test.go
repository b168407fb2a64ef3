package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"coracle/internal/check"
)

func TestResolver(t *testing.T) {
	r := Resolver{
		Node:    ParseResolvConf([]byte("# the node's\nnameserver 192.0.2.1\ndomain old\nsearch example.org\noptions rotate\nsortlist x\n\nnameserver\n")),
		Cluster: DNS{Servers: []string{"10.96.0.10"}}, Domain: "cluster.local",
	}
	cluster := "search web.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.96.0.10\noptions ndots:5\n"
	node := "search example.org\nnameserver 192.0.2.1\noptions rotate\n"
	for _, c := range []struct {
		policy string
		host   bool
		config DNS
		want   string
	}{
		{"ClusterFirst", false, DNS{}, cluster},
		{"", false, DNS{}, cluster},
		{"ClusterFirst", true, DNS{}, node},
		{"ClusterFirstWithHostNet", true, DNS{}, cluster},
		{"Default", false, DNS{}, node},
		{"None", false, DNS{[]string{"192.0.2.9"}, nil, []string{"edns0"}}, "nameserver 192.0.2.9\noptions edns0\n"},
		{"ClusterFirst", false, DNS{[]string{"10.96.0.10", "192.0.2.9"}, []string{"more"}, []string{"ndots:2", "edns0"}},
			"search web.svc.cluster.local svc.cluster.local cluster.local example.org more\nnameserver 10.96.0.10\nnameserver 192.0.2.9\noptions ndots:2 edns0\n"},
	} {
		d, notes, err := r.Resolve(c.policy, "web", c.host, c.config)
		did := fmt.Sprintf("%s, hostNetwork %v, %v", c.policy, c.host, c.config)
		check.NoError(t, did, err)
		check.Equal(t, did, c.want, string(d.File()))
		check.Equal(t, did+": notes", 0, len(notes))
	}
	check.Equal(t, "the node's own after all this", node, string(r.Node.File()))
	_, _, err := r.Resolve("None", "web", false, DNS{})
	check.ErrorHas(t, "None without a server", err, []string{"None", "server"})
	_, _, err = r.Resolve("Sometimes", "web", false, DNS{})
	check.ErrorHas(t, "no policy", err, []string{"Sometimes"})
	d, notes, _ := Resolver{Node: r.Node}.Resolve("ClusterFirst", "web", false, DNS{Servers: []string{"1.1.1.1", "2.2.2.2", "3.3.3.3"}, Searches: []string{strings.Repeat("x", 3000)}})
	check.Equal(t, "without cluster DNS, and too much of all", "search example.org\nnameserver 192.0.2.1\nnameserver 1.1.1.1\nnameserver 2.2.2.2\noptions rotate\n", string(d.File()))
	check.Equal(t, "notes", 3, len(notes))
}

func TestHostsFile(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("10.88.0.2"), netip.MustParseAddr("fd00:88::2")}
	got := string(HostsFile("web-0", "web.default.svc.cluster.local", addrs, []HostAlias{{"192.0.2.1", []string{"a", "b"}}}, nil))
	check.True(t, "the pod's own", strings.Contains(got, "10.88.0.2\tweb-0.web.default.svc.cluster.local\tweb-0\nfd00:88::2\tweb-0.web"), got, "both addresses with both names")
	check.True(t, "localhost", strings.Contains(got, "127.0.0.1\tlocalhost\n::1\tlocalhost"), got, "both of them")
	check.True(t, "the aliases", strings.HasSuffix(got, "\n# Entries added by HostAliases.\n192.0.2.1\ta\tb\n"), got, "at the end")
	got = string(HostsFile("node", "", nil, nil, []byte("127.0.0.1 localhost\n")))
	check.Equal(t, "with the host's network", "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n", got)
}

func TestHostname(t *testing.T) {
	for _, c := range []struct {
		pod, hostname, domain string
		fqdn                  bool
		want                  string
	}{
		{"web-0", "", "", false, "web-0"},
		{"web-0", "first", "web.default.svc", false, "first"},
		{"web-0", "first", "web.default.svc", true, "first.web.default.svc"},
		{strings.Repeat("a", 62) + "-bcd", "", "", false, strings.Repeat("a", 62)},
	} {
		got, err := Hostname(c.pod, c.hostname, c.domain, c.fqdn)
		check.NoError(t, c.want, err)
		check.Equal(t, "Hostname", c.want, got)
	}
	_, err := Hostname("web-0", "", strings.Repeat("d", 60), true)
	check.ErrorHas(t, "an FQDN of 66", err, []string{"too long", "66"})
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 1\nsearch a b\noptions c:1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := ParseResolvConf(text)
		again := ParseResolvConf(d.File())
		check.Equal(t, "what was written and read back", string(d.File()), string(again.File()))
	})
}
