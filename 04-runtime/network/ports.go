package network

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"
)

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// A Port of the node that leads to one of the pod.
type Port struct {
	HostIP        string // "": all addresses, of each family that the pod has
	HostPort      int
	ContainerPort int
	Protocol      string // "tcp", "udp" or "sctp"; "" is tcp
}

// mappings says what these ports are for a pod with these addresses.
func mappings(owner string, ports []Port, addrs []netip.Addr) ([]Mapping, error) {
	var all []Mapping
	for _, p := range ports {
		if p.HostPort == 0 {
			continue // only declared
		}
		proto := strings.ToLower(p.Protocol)
		if proto == "" {
			proto = "tcp"
		}
		if p.HostPort < 0 || p.HostPort > 65535 || p.ContainerPort < 1 || p.ContainerPort > 65535 || !slices.Contains([]string{"tcp", "udp", "sctp"}, proto) {
			return nil, fmt.Errorf("port %d to %d/%s: want numbers from 1 to 65535, and tcp, udp or sctp", p.HostPort, p.ContainerPort, proto)
		}
		var only netip.Addr
		if p.HostIP != "" {
			a, err := netip.ParseAddr(p.HostIP)
			if err != nil {
				return nil, fmt.Errorf("host port %d: hostIP: %w", p.HostPort, err)
			}
			only = a.Unmap()
		}
		before := len(all)
		for _, a := range addrs {
			host := netip.IPv6Unspecified()
			if a.Is4() {
				host = netip.IPv4Unspecified()
			}
			if only.IsValid() {
				host = only
			}
			if host.Is4() != a.Is4() {
				continue
			}
			m := Mapping{owner, proto, netip.AddrPortFrom(host, uint16(p.HostPort)), netip.AddrPortFrom(a, uint16(p.ContainerPort))}
			if err := Conflict(m, all); err != nil {
				return nil, err
			}
			all = append(all, m)
		}
		if len(all) == before {
			return nil, fmt.Errorf("host port %d: hostIP %s is of a family that the pod has no address of", p.HostPort, p.HostIP)
		}
	}
	return all, nil
}

// A table is the node's rules and who carries its ports: nft, or a Relay each.
type table struct {
	mu     sync.Mutex
	rules  Rules
	owners map[string][]Mapping // by pod ID
	nft    knftables.Interface  // nil: there is none
	dirty  bool                 // the kernel's table is not known to be as it should
	relays map[string][]io.Closer
	listen Listen // as Config says
}

// publish makes ports of the node lead to a pod. What it had before is replaced.
func (t *table) publish(ctx context.Context, pod, netns string, want []Mapping) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Equal(t.owners[pod], want) && (t.nft != nil && t.listen == nil || len(t.relays[pod]) == len(want)) {
		return nil
	}
	if err := t.withdraw(ctx, pod); err != nil {
		return err
	}
	for _, m := range want {
		if err := cmp.Or(Conflict(m, t.all()), listening(m)); err != nil {
			return err
		}
	}
	t.owners[pod] = want
	if t.nft == nil || t.listen != nil {
		if err := t.relay(pod, netns, want); err != nil || t.nft == nil {
			return err
		}
	}
	for _, link := range localLinks(pod, want) {
		// Ports of 127.0.0.1: see Fill.
		if err := SetSysctl("ipv4/conf/"+link+"/route_localnet", "1"); err != nil {
			return err
		}
	}
	tx := t.nft.NewTransaction()
	for _, m := range want {
		for _, e := range m.Elements() {
			tx.Add(e)
		}
	}
	return t.run(ctx, tx, want)
}

// localLinks is the link of a pod whose ports are to be had on 127.0.0.1 as well.
func localLinks(pod string, ports []Mapping) []string {
	for _, m := range ports {
		if a := m.Host.Addr(); a.Is4() && (a.IsUnspecified() || a.IsLoopback()) {
			return []string{LinkName(pod)}
		}
	}
	return nil
}

func (t *table) relay(pod, netns string, want []Mapping) error {
	for _, m := range want {
		r, err := StartRelay(m, netns, t.listen)
		if err != nil {
			return err // what runs already goes with the pod
		}
		t.relays[pod] = append(t.relays[pod], r)
	}
	return nil
}

// remove takes a pod's ports away.
func (t *table) remove(ctx context.Context, pod string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.withdraw(ctx, pod)
}

func (t *table) withdraw(ctx context.Context, pod string) error {
	for _, r := range t.relays[pod] {
		r.Close()
	}
	had := t.owners[pod]
	delete(t.relays, pod)
	delete(t.owners, pod)
	if t.nft == nil || len(had) == 0 && !t.dirty {
		return nil
	}
	tx := t.nft.NewTransaction()
	gone := map[string]bool{}
	for _, m := range had {
		for _, e := range m.Elements() {
			if name := fmt.Sprint(e.Set, e.Map, e.Key); !gone[name] {
				gone[name] = true
				tx.Delete(e)
			}
		}
	}
	return t.run(ctx, tx, had)
}

func (t *table) all() (all []Mapping) {
	for _, ms := range t.owners {
		all = append(all, ms...)
	}
	return all
}

// run changes the table a little, or, if it is not as it was left, writes it anew. The
// kernel goes on translating what it has seen as a flow of UDP, to the pod of before or
// to none: those flows it forgets.
func (t *table) run(ctx context.Context, tx *knftables.Transaction, changed []Mapping) error {
	if t.dirty || t.nft.Run(ctx, tx) != nil {
		if err := t.write(ctx); err != nil {
			return err
		}
	}
	for _, m := range changed {
		if m.Protocol == "udp" {
			f := &netlink.ConntrackFilter{}
			f.AddProtocol(unix.IPPROTO_UDP)
			f.AddPort(netlink.ConntrackOrigDstPort, m.Host.Port())
			netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(family(m.Pod.Addr())), f)
		}
	}
	return nil
}

// write writes the whole table.
func (t *table) write(ctx context.Context) error {
	r := t.rules
	r.Ports = t.all()
	tx := t.nft.NewTransaction()
	r.Fill(tx)
	err := t.nft.Run(ctx, tx)
	t.dirty = err != nil
	if err != nil {
		return fmt.Errorf("write the nft table: %w", err)
	}
	return nil
}
