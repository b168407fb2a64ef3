package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"
)

// Open prepares the node: forwarding, its own address on lo, what becomes of
// addresses that no pod has, and its nft table. Pods that Saved knows go on as they were;
// links of others are removed.
func Open(ctx context.Context, c Config) (*Node, error) {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.Saved == nil {
		c.Saved = &State{}
	}
	if n := len(c.Ranges); n == 0 || n > 2 || n == 2 && c.Ranges[0].Addr().Is4() == c.Ranges[1].Addr().Is4() {
		return nil, fmt.Errorf("node %s: ranges %v: want one, or one of each family", c.Name, c.Ranges)
	}
	n := &Node{config: c, table: table{owners: map[string][]Mapping{}, relays: map[string][]io.Closer{}, listen: c.Listen}}
	n.table.rules = Rules{Pods: c.Ranges, Cluster: slices.Clone(c.Cluster)}
	for id, m := range c.Saved.Ports {
		n.table.owners[id] = m
	}
	for _, p := range c.Ranges {
		if err := n.addRange(p.Masked()); err != nil {
			return nil, err
		}
	}
	if err := n.sweep(); err != nil {
		return nil, err
	}
	if c.NoNFT {
		n.noNFT = errors.New("the agent was told to do without nft")
		return n, nil
	}
	n.table.nft, n.noNFT = knftables.New(knftables.InetFamily, "coracle-"+c.Name)
	if n.noNFT == nil {
		n.noNFT = n.table.write(ctx) // a kernel may lack what a rule needs
	}
	if n.noNFT != nil {
		n.table.nft = nil // Egress says why, and ports are relayed
	}
	return n, nil
}

// addRange goes on with a range that was saved, or begins it.
func (n *Node) addRange(p netip.Prefix) error {
	own := p.Addr().Next()
	i := slices.IndexFunc(n.config.Saved.Ranges, func(r *Range) bool { return r.Prefix == p })
	if i >= 0 {
		if err := n.config.Saved.Ranges[i].Check(); err != nil {
			return fmt.Errorf("saved state: %w", err)
		}
		n.ranges = append(n.ranges, n.config.Saved.Ranges[i])
	} else {
		r, err := NewRange(p, own)
		if err != nil {
			return err
		}
		n.ranges = append(n.ranges, r)
	}
	forwarding := "ipv4/ip_forward"
	if own.Is6() {
		forwarding = "ipv6/conf/all/forwarding"
	}
	if err := SetSysctl(forwarding, "1"); err != nil {
		return fmt.Errorf("turn on forwarding: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(lo, addrOf(own)); err != nil {
		return fmt.Errorf("address %v on lo: %w", own, err)
	}
	if err := awaitLocal(&netlink.Handle{}, own); err != nil {
		return err
	}
	// Without it, what is sent to a pod that is gone would leave by the default route.
	if err := netlink.RouteReplace(unreachable(p)); err != nil {
		return fmt.Errorf("route %v: %w", p, err)
	}
	return nil
}

func unreachable(p netip.Prefix) *netlink.Route {
	r := &netlink.Route{Family: family(p.Addr()), Dst: ipNet(p), Type: unix.RTN_UNREACHABLE, Protocol: routeProtocol, Priority: 1 << 16}
	if p.Addr().Is6() {
		r.LinkIndex = 1 // lo: the kernel would choose it anyway, and not find the route again
	}
	return r
}

// sweep removes the links of pods that hold no address: half made when the agent died.
func (n *Node) sweep() error {
	names, err := linkNames()
	known := map[string]bool{}
	for _, r := range n.ranges {
		for _, id := range r.Held {
			known[LinkName(id)] = true
		}
	}
	errs := []error{err}
	for _, name := range names {
		if !known[name] {
			errs = append(errs, Link{Host: name}.Down())
		}
	}
	return errors.Join(errs...)
}

// Egress says why pods cannot get out of this node, nil if they can: a node condition.
func (n *Node) Egress() error {
	if n.table.nft == nil {
		return fmt.Errorf("pods have no egress: %w; apt-get install nftables, and run the agent in a network namespace of its own", n.noNFT)
	}
	for _, r := range n.ranges {
		routes, err := whole(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family(r.Prefix.Addr()), &netlink.Route{}, netlink.RT_FILTER_DST)
		})
		if err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw != nil || len(r.MultiPath) > 0 || r.LinkIndex > 1 }) {
			return nil
		}
	}
	return errors.New("pods have no egress: the node has no default route; as an ordinary user: apt-get install passt, or slirp4netns")
}

// Close ends what the agent itself carries, relays. Pods stay connected.
func (n *Node) Close() {
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	for _, rs := range n.table.relays {
		for _, r := range rs {
			r.Close()
		}
	}
	clear(n.table.relays)
}

// Destroy removes everything: pods' links, routes, the node's address, the nft table.
func (n *Node) Destroy(ctx context.Context) error {
	n.Close()
	names, err := linkNames()
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, Link{Host: name}.Down())
	}
	errs = append(errs, removeRoutes(func(netlink.Route) bool { return true }))
	lo, err := netlink.LinkByName("lo")
	errs = append(errs, err)
	for _, r := range n.ranges {
		if err := netlink.AddrDel(lo, addrOf(r.Prefix.Addr().Next())); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, err)
		}
	}
	if n.table.nft != nil {
		tx := n.table.nft.NewTransaction()
		tx.Add(&knftables.Table{})
		tx.Delete(&knftables.Table{})
		errs = append(errs, n.table.nft.Run(ctx, tx))
	}
	return errors.Join(errs...)
}
