package network

import (
	"fmt"
	"slices"

	"sigs.k8s.io/knftables"
)

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

// Fill writes into one transaction the whole table: a packet meets the old rules or
// the new ones, never half of them. What declare, given, made empty, it fills:
//
//	source (filter)    drop what comes by a pod's link (coracle*) from an address that no
//	                   route leads back to by that link: another's (fib saddr . iif oif);
//	ports              destination to the pod's, by the maps, for each family: first
//	                   ports4, then anyports4;
//	prerouting (nat)   to 127.0.0.0/8: return, that net never comes in by a wire;
//	both (nat)         to an address of the node (fib daddr type local): jump ports;
//	postrouting (nat)  masquerade what
//	                   - goes from a pod to itself: it asked for its own port of the node,
//	                     and would answer itself past the one who translates back;
//	                   - comes from 127.0.0.0/8 and leaves lo: nobody could answer that;
//	                   - comes from pods4 and goes out of the cluster;
//	input (filter)     drop what comes from elsewhere to 127.0.0.0/8 and is no answer:
//	                   ports of 127.0.0.1 need route_localnet, which lets in everybody
//	                   on the wire (CVE-2020-8558).
//
// The addresses that a rule compares come with their family: "ip saddr", "ip6 saddr".
func (r Rules) Fill(tx *knftables.Transaction) {
	declare(tx)
	rule := func(chain string, words ...any) {
		tx.Add(&knftables.Rule{Chain: chain, Rule: knftables.Concat(words...)})
	}
	rule("source", `iifname "`+linkPrefix+`*" fib saddr . iif oif missing drop`)
	rule("prerouting", "ip daddr 127.0.0.0/8 return")
	for _, hook := range []string{"prerouting", "output"} {
		rule(hook, "fib daddr type local jump ports")
	}
	rule("input", "ip daddr 127.0.0.0/8 ip saddr != 127.0.0.0/8 ct state new,invalid drop")
	rule("postrouting", `ip saddr 127.0.0.0/8 oifname != "lo" masquerade`)
	for _, f := range [][2]string{{"ip", "4"}, {"ip6", "6"}} {
		ip, n := f[0], f[1]
		rule("ports", "dnat", ip, "to", ip, "daddr . meta l4proto . th dport map @ports"+n)
		rule("ports", "dnat", ip, "to meta l4proto . th dport map @anyports"+n)
		rule("postrouting", ip, "saddr .", ip, "daddr @hairpins"+n, "masquerade")
		rule("postrouting", ip, "saddr @pods"+n, ip, "daddr != @cluster"+n, "masquerade fully-random")
	}
	for _, p := range r.Pods {
		tx.Add(&knftables.Element{Set: "pods" + digit(p.Addr()), Key: []string{p.Masked().String()}})
	}
	for _, p := range slices.Concat(r.Pods, r.Cluster) {
		tx.Add(&knftables.Element{Set: "cluster" + digit(p.Addr()), Key: []string{p.Masked().String()}})
	}
	for _, m := range r.Ports {
		for _, e := range m.Elements() {
			tx.Add(e)
		}
	}
}

// Elements are a mapping's own in the table: one of a map of ports, and the hairpin of
// its pod, which all mappings of a pod share. With them alone a port is published in a
// table that is there; to fill it all anew would take longer with each pod.
func (m Mapping) Elements() []*knftables.Element {
	n := digit(m.Pod.Addr())
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
