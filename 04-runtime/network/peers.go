package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// A Peer is another node: whose pods are reached through it.
type Peer struct {
	Name   string
	Ranges []netip.Prefix
	Via    []netip.Addr // the node's own addresses, one of each family at most
}

// A PeerSource tells who the other nodes are: all of them, now and whenever that
// changes, until ctx ends. In this chapter a node is alone: NoPeers.
type PeerSource interface {
	Peers(ctx context.Context) <-chan []Peer
}

// NoPeers is a cluster of one node.
type NoPeers struct{}

// Peers sends nothing.
func (NoPeers) Peers(ctx context.Context) <-chan []Peer {
	ch := make(chan []Peer)
	context.AfterFunc(ctx, func() { close(ch) })
	return ch
}

// FollowPeers keeps the routes to other nodes' pods as src says, until ctx ends. Their
// ranges count as the cluster's: no masquerade on the way there. What does not work
// is given to failed, and the rest goes on.
func (n *Node) FollowPeers(ctx context.Context, src PeerSource, failed func(error)) {
	for peers := range src.Peers(ctx) {
		if err := n.setPeers(ctx, peers); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

func (n *Node) setPeers(ctx context.Context, peers []Peer) error {
	var errs []error
	want := map[netip.Prefix]bool{}
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	n.table.rules.Cluster = slices.Clone(n.config.Cluster)
	for _, p := range peers {
		for _, r := range p.Ranges {
			i := slices.IndexFunc(p.Via, func(a netip.Addr) bool { return a.Is4() == r.Addr().Is4() })
			if i < 0 {
				errs = append(errs, fmt.Errorf("node %s: range %v: no address of that family to go by", p.Name, r))
				continue
			}
			want[r.Masked()] = true
			n.table.rules.Cluster = append(n.table.rules.Cluster, r)
			err := netlink.RouteReplace(&netlink.Route{Family: family(r.Addr()), Dst: ipNet(r.Masked()), Gw: p.Via[i].AsSlice(), Protocol: routeProtocol})
			if err != nil {
				errs = append(errs, fmt.Errorf("node %s: route %v via %v: %w", p.Name, r, p.Via[i], err))
			}
		}
	}
	errs = append(errs, removeRoutes(func(r netlink.Route) bool {
		p, ok := prefixOf(r)
		return ok && r.Gw != nil && !want[p]
	}))
	if n.table.nft != nil {
		errs = append(errs, n.table.write(ctx))
	}
	return errors.Join(errs...)
}

func prefixOf(r netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(a, bits), ok
}

// removeRoutes removes those of our routes for which is is true.
func removeRoutes(is func(netlink.Route) bool) error {
	routes, err := whole(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	})
	errs := []error{err}
	for _, r := range routes {
		if is(r) {
			errs = append(errs, netlink.RouteDel(&r))
		}
	}
	return errors.Join(errs...)
}
