package network

import (
	"errors"
	"fmt"
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

// Conflict returns the error of publishing m beside others: ErrTaken if one of them has
// the same protocol and port and the same address of the node, or one of the two has
// all addresses of that family. It names the port and the owner:
//
//	host port 0.0.0.0:8080/tcp: port is taken by pod default/web
func Conflict(m Mapping, others []Mapping) error {
	for _, o := range others {
		a, b := m.Host.Addr(), o.Host.Addr()
		if m.Protocol == o.Protocol && m.Host.Port() == o.Host.Port() && a.Is4() == b.Is4() &&
			(a == b || a.IsUnspecified() || b.IsUnspecified()) {
			return fmt.Errorf("host port %v/%s: %w by %s", m.Host, m.Protocol, ErrTaken, o.Owner)
		}
	}
	return nil
}

// Fill writes into one transaction the whole table: rules and elements from before go,
// the chains stay and with them the connections that were translated. A packet meets
// the old rules or the new ones, never half of them. For each family:
//
//	set pods4, cluster4      the ranges; the node's own are part of the cluster
//	map ports4               address . protocol . port → the pod's address . port
//	map anyports4            the same for all addresses, without the first part
//	set hairpins4            address . address of each pod that has a port
//
// and for both
//
//	prerouting (nat)   to 127.0.0.0/8: return, that net never comes in by a wire;
//	output     (nat)   to an address of the node (fib daddr type local): look in the maps;
//	postrouting (nat)  masquerade what
//	                   - goes from a pod to itself: it asked for its own port of the node,
//	                     and would answer itself past the one who translates back;
//	                   - comes from 127.0.0.0/8 and leaves lo: nobody could answer that;
//	                   - comes from pods4 and goes out of the cluster;
//	input   (filter)   drop what comes from elsewhere to 127.0.0.0/8 and is no answer:
//	                   ports of 127.0.0.1 need route_localnet, which lets in everybody
//	                   on the wire (CVE-2020-8558).
//
// The addresses that a rule compares come with their family: "ip saddr", "ip6 saddr".
func (r Rules) Fill(tx *knftables.Transaction) {
	tx.Add(&knftables.Table{})
	tx.Flush(&knftables.Table{})
	chain := func(name string, kind knftables.BaseChainType, priority knftables.BaseChainPriority) {
		c := &knftables.Chain{Name: name}
		if kind != "" {
			hook := knftables.BaseChainHook(name)
			c.Type, c.Hook, c.Priority = &kind, &hook, &priority
		}
		tx.Add(c)
	}
	chain("ports", "", "")
	chain("prerouting", knftables.NATType, knftables.DNATPriority)
	chain("output", knftables.NATType, knftables.DNATPriority)
	chain("postrouting", knftables.NATType, knftables.SNATPriority)
	chain("input", knftables.FilterType, knftables.FilterPriority)
	rule := func(chain string, words ...any) {
		tx.Add(&knftables.Rule{Chain: chain, Rule: knftables.Concat(words...)})
	}
	rule("prerouting", "ip daddr 127.0.0.0/8 return")
	for _, hook := range []string{"prerouting", "output"} {
		rule(hook, "fib daddr type local jump ports")
	}
	rule("input", "ip daddr 127.0.0.0/8 ip saddr != 127.0.0.0/8 ct state new,invalid drop")
	rule("postrouting", `ip saddr 127.0.0.0/8 oifname != "lo" masquerade`)
	for _, f := range []struct{ n, ip, addr string }{{"4", "ip", "ipv4_addr"}, {"6", "ip6", "ipv6_addr"}} {
		r.sets(tx, f.n, f.addr)
		r.elements(tx, f.n)
		rule("ports", "dnat", f.ip, "to", f.ip, "daddr . meta l4proto . th dport map @ports"+f.n)
		rule("ports", "dnat", f.ip, "to meta l4proto . th dport map @anyports"+f.n)
		rule("postrouting", f.ip, "saddr .", f.ip, "daddr @hairpins"+f.n, "masquerade")
		rule("postrouting", f.ip, "saddr @pods"+f.n, f.ip, "daddr != @cluster"+f.n, "masquerade fully-random")
	}
}

// sets declares the sets and maps of a family, empty.
func (r Rules) sets(tx *knftables.Transaction, n, addr string) {
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

// elements fills those of a family.
func (r Rules) elements(tx *knftables.Transaction, n string) {
	is := func(a netip.Addr) bool { return a.Is4() == (n == "4") }
	for i, p := range append(append([]netip.Prefix{}, r.Pods...), r.Cluster...) {
		if !is(p.Addr()) {
			continue
		}
		if i < len(r.Pods) {
			tx.Add(&knftables.Element{Set: "pods" + n, Key: []string{p.Masked().String()}})
		}
		tx.Add(&knftables.Element{Set: "cluster" + n, Key: []string{p.Masked().String()}})
	}
	for _, m := range r.Ports {
		if is(m.Pod.Addr()) {
			for _, e := range m.Elements() {
				tx.Add(e)
			}
		}
	}
}

// Elements are a mapping's own in the table: one of a map of ports, and the hairpin of
// its pod, which all mappings of a pod share. With them alone a port is published in a
// table that is there; to fill it all anew would take longer with each pod.
func (m Mapping) Elements() []*knftables.Element {
	n := "6"
	if m.Pod.Addr().Is4() {
		n = "4"
	}
	pod := m.Pod.Addr().String()
	port := &knftables.Element{
		Map: "ports" + n, Key: []string{m.Host.Addr().String(), m.Protocol, fmt.Sprint(m.Host.Port())},
		Value: []string{pod, fmt.Sprint(m.Pod.Port())},
	}
	if m.Host.Addr().IsUnspecified() {
		port.Map, port.Key = "anyports"+n, port.Key[1:]
	}
	return []*knftables.Element{port, {Set: "hairpins" + n, Key: []string{pod, pod}}}
}
