package network

import (
	"errors"
	"net/netip"

	"sigs.k8s.io/knftables"
)

// ErrTaken is that a port of the node leads somewhere already.
var ErrTaken = errors.New("port is taken")

// A Mapping is one port of the node that leads to one of a pod, of the same family.
type Mapping struct {
	Owner    string         // who has it, as a person knows it: "pod default/web"
	Protocol string         // "tcp", "udp" or "sctp"
	Host     netip.AddrPort // 0.0.0.0 and [::] are all addresses of the node
	Pod      netip.AddrPort
}

// Rules is what the node's nft table shall say.
type Rules struct {
	Pods    []netip.Prefix // this node's ranges
	Cluster []netip.Prefix // besides these, what is reached without a disguise: other nodes' ranges
	Ports   []Mapping
}

// digit ends the names of a family's sets.
func digit(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// declare makes the table, its chains, and for each family (4, 6):
//
//	set pods4        this node's ranges
//	set cluster4     these and the cluster's others
//	map ports4       address . protocol . port → the pod's address . port
//	map anyports4    the same for all addresses, without the first part
//	set hairpins4    address . address of each pod that has a port
//
// What is there already is emptied, not removed: while a chain were away, the packets
// of translated connections would go untranslated.
func declare(tx *knftables.Transaction) {
	tx.Add(&knftables.Table{})
	tx.Flush(&knftables.Table{}) // the rules of its chains
	tx.Add(&knftables.Chain{Name: "ports"})
	for _, c := range []struct {
		name     string
		hook     knftables.BaseChainHook
		kind     knftables.BaseChainType
		priority knftables.BaseChainPriority
	}{
		{"source", knftables.PreroutingHook, knftables.FilterType, knftables.RawPriority},
		{"prerouting", knftables.PreroutingHook, knftables.NATType, knftables.DNATPriority},
		{"output", knftables.OutputHook, knftables.NATType, knftables.DNATPriority},
		{"postrouting", knftables.PostroutingHook, knftables.NATType, knftables.SNATPriority},
		{"input", knftables.InputHook, knftables.FilterType, knftables.FilterPriority},
	} {
		tx.Add(&knftables.Chain{Name: c.name, Type: &c.kind, Hook: &c.hook, Priority: &c.priority})
	}
	declareSets(tx, "4", "ipv4_addr")
	declareSets(tx, "6", "ipv6_addr")
}

func declareSets(tx *knftables.Transaction, n, addr string) {
	for _, s := range []*knftables.Set{
		{Name: "pods" + n, Type: addr, Flags: []knftables.SetFlag{knftables.IntervalFlag}, AutoMerge: knftables.PtrTo(true)},
		{Name: "cluster" + n, Type: addr, Flags: []knftables.SetFlag{knftables.IntervalFlag}, AutoMerge: knftables.PtrTo(true)},
		{Name: "hairpins" + n, Type: addr + " . " + addr},
	} {
		tx.Add(s)
		tx.Flush(s)
	}
	for _, m := range []*knftables.Map{
		{Name: "ports" + n, Type: addr + " . inet_proto . inet_service : " + addr + " . inet_service"},
		{Name: "anyports" + n, Type: "inet_proto . inet_service : " + addr + " . inet_service"},
	} {
		tx.Add(m)
		tx.Flush(m)
	}
}
