package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"

	"coracle/internal/check"
)

var testRules = Rules{
	Pods:    []netip.Prefix{netip.MustParsePrefix("10.88.0.0/24"), netip.MustParsePrefix("fd00:88::/64")},
	Cluster: []netip.Prefix{netip.MustParsePrefix("10.88.0.0/16")},
}

// fill runs the rules' transaction against a table in memory.
func fill(t testing.TB, nft *knftables.Fake, r Rules) {
	t.Helper()
	tx := nft.NewTransaction()
	r.Fill(tx)
	check.NoError(t, "run the transaction", nft.Run(t.Context(), tx))
}

func mapping(owner, proto, host, pod string) Mapping {
	return Mapping{owner, proto, netip.MustParseAddrPort(host), netip.MustParseAddrPort(pod)}
}

func TestConflict(t *testing.T) {
	held := []Mapping{
		mapping("pod default/web", "tcp", "0.0.0.0:8080", "10.88.0.2:80"),
		mapping("pod default/dns", "udp", "127.0.0.1:53", "10.88.0.3:53"),
	}
	for _, c := range []struct {
		proto, host, by, often string
	}{
		{"tcp", "0.0.0.0:8080", "pod default/web", ""},
		{"tcp", "10.88.0.1:8080", "pod default/web", "a port of all addresses and one of a single address do not meet"},
		{"udp", "0.0.0.0:53", "pod default/dns", "a port of all addresses and one of a single address do not meet"},
		{"udp", "0.0.0.0:8080", "", "tcp and udp share their ports"},
		{"udp", "127.0.0.2:53", "", "an address of the node takes the port of all others"},
		{"tcp", "0.0.0.0:8081", "", ""},
		{"tcp", "[::]:8080", "", "the two families share their ports"},
	} {
		err := Conflict(mapping("pod default/new", c.proto, c.host, "10.88.0.9:1"), held)
		did := fmt.Sprintf("Conflict of %s/%s", c.host, c.proto)
		if c.by == "" {
			check.NoError(t, did, err, check.Often(c.often != "", c.often))
			continue
		}
		check.ErrorIs(t, did, err, ErrTaken, check.Often(c.often != "", c.often))
		check.ErrorHas(t, did, err, []string{c.by, c.host, c.proto})
	}
}

func TestRules_Fill(t *testing.T) {
	nft := knftables.NewFake(knftables.InetFamily, "coracle-test")
	r := testRules
	r.Ports = []Mapping{
		mapping("a", "tcp", "0.0.0.0:8080", "10.88.0.2:80"),
		mapping("a", "tcp", "[::]:8080", "[fd00:88::2]:80"),
		mapping("b", "udp", "127.0.0.1:53", "10.88.0.3:5353"),
	}
	fill(t, nft, r)
	first := nft.Dump()
	fill(t, nft, r)
	check.Equal(t, "the table after the same once more", first, nft.Dump(), check.Often(true, "rules of before are not flushed"))
	find := func(m string, key ...string) string {
		e := nft.Table.Maps[m].FindElement(key...)
		if e == nil {
			return "nothing"
		}
		return strings.Join(e.Value, " ")
	}
	check.Equal(t, "port 8080/tcp of any address", "10.88.0.2 80", find("anyports4", "tcp", "8080"))
	check.Equal(t, "port 8080/tcp, IPv6", "fd00:88::2 80", find("anyports6", "tcp", "8080"))
	check.Equal(t, "port 53/udp of 127.0.0.1", "10.88.0.3 5353", find("ports4", "127.0.0.1", "udp", "53"))
	r.Ports = r.Ports[2:]
	fill(t, nft, r)
	check.Equal(t, "port 8080/tcp when it is gone", "nothing", find("anyports4", "tcp", "8080"), check.Often(true, "elements of before are not flushed"))
	check.True(t, "the hairpin of a pod with no port", nft.Table.Sets["hairpins4"].FindElement("10.88.0.2", "10.88.0.2") == nil, "there", "gone")
	check.True(t, "the range in cluster6", nft.Table.Sets["cluster6"].FindElement("fd00:88::/64") != nil, "not there", "there",
		check.Often(true, "pods of this node are not part of the cluster, and meet each other in disguise"))
}

func TestMappings(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("10.88.0.2"), netip.MustParseAddr("fd00:88::2")}
	got, err := mappings("pod a", []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "TCP"}, {ContainerPort: 9}, {"127.0.0.1", 53, 53, "udp"}}, addrs)
	check.NoError(t, "mappings", err)
	check.Equal(t, "mappings", []Mapping{
		mapping("pod a", "tcp", "0.0.0.0:8080", "10.88.0.2:80"), mapping("pod a", "tcp", "[::]:8080", "[fd00:88::2]:80"),
		mapping("pod a", "udp", "127.0.0.1:53", "10.88.0.2:53"),
	}, got)
	for _, p := range []Port{{"", 65536, 1, ""}, {"", 80, 0, ""}, {"", 80, 80, "icmp"}, {"1.2.3", 80, 80, ""}} {
		_, err := mappings("pod a", []Port{p}, addrs)
		check.True(t, fmt.Sprintf("%+v", p), err != nil, "no error", "an error")
	}
	_, err = mappings("pod a", []Port{{"::1", 80, 80, ""}}, addrs[:1])
	check.ErrorHas(t, "an IPv6 host address for an IPv4 pod", err, []string{"::1", "80"})
	_, err = mappings("pod a", []Port{{"", 80, 80, ""}, {"10.0.0.1", 80, 81, ""}}, addrs)
	check.ErrorIs(t, "the same port twice", err, ErrTaken)
}
