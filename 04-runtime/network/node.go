package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"
)

// A Config is what a Node needs to know.
type Config struct {
	Name    string         // the node's
	Ranges  []netip.Prefix // for its pods: one of each family at most, the first one's address is a pod's first
	Cluster []netip.Prefix // what besides these is reached without a disguise
	MTU     int            // of the pods' interfaces; 0 is 1500
	NoNFT   bool           // do without nft, as where there is none

	// Saved is what Save was given last; nil at the very first time. Save returns when
	// a crash cannot take it back, and keeps nothing of what it was given but a copy.
	Saved *State
	Save  func(State) error
}

// State is what must outlive the agent.
type State struct {
	Ranges []*Range
	Ports  map[string][]Mapping // by pod ID
}

// A Pod as the network sees it.
type Pod struct {
	ID    string // of its sandbox
	Name  string // "default/web", for messages
	NetNS string // the file that its network namespace is bound to
	Ports []Port
}

// Split parts the name.
func (p Pod) Split() (namespace, name string) {
	namespace, name, _ = strings.Cut(p.Name, "/")
	return namespace, name
}

// A Node connects pods. Its methods may be called by any number of goroutines, but not
// two at once for the same pod.
type Node struct {
	config Config
	mu     sync.Mutex // of ranges, and of the order of saving
	ranges []*Range
	table  table
}

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
	n := &Node{config: c, table: table{owners: map[string][]Mapping{}, relays: map[string][]io.Closer{}}}
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
		return n, nil
	}
	nft, err := knftables.New(knftables.InetFamily, "coracle-"+c.Name)
	if err != nil {
		return n, nil // Egress says so
	}
	n.table.nft = nft
	return n, n.table.write(ctx)
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

// Pods lists the IDs of those that hold an address, for an agent that has lost some.
func (n *Node) Pods() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := map[string]bool{}
	for _, r := range n.ranges {
		for _, id := range r.Held {
			ids[id] = true
		}
	}
	var all []string
	for id := range ids {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// Add connects a pod and returns its addresses. It may be called again, and after a
// restart it must be called for a pod with ports where there is no nft. After an
// error nothing is left. Errors: ErrExhausted, ErrTaken.
func (n *Node) Add(ctx context.Context, p Pod) (addrs []netip.Addr, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("network of pod %s: %w", p.Name, err), n.Remove(context.WithoutCancel(ctx), p.ID))
		}
	}()
	if addrs, err = n.take(p.ID); err != nil {
		return nil, err
	}
	want, err := mappings("pod "+p.Name, p.Ports, addrs)
	if err != nil {
		return nil, err
	}
	link := Link{p.NetNS, LinkName(p.ID), addrs, n.config.MTU}
	if err := link.Up(); err != nil {
		return nil, err
	}
	if err := n.table.publish(ctx, p.ID, p.NetNS, want); err != nil {
		return nil, err
	}
	if len(want) > 0 {
		err = n.save()
	}
	return addrs, err
}

// Remove disconnects a pod and takes its addresses back. Nothing there is no error.
func (n *Node) Remove(ctx context.Context, id string) error {
	err := errors.Join(n.table.remove(ctx, id), Link{Host: LinkName(id)}.Down())
	if err != nil {
		return err // the addresses may be in use still
	}
	n.mu.Lock()
	for _, r := range n.ranges {
		r.Give(id)
	}
	n.mu.Unlock()
	return n.save()
}

func (n *Node) take(id string) (addrs []netip.Addr, err error) {
	n.mu.Lock()
	for _, r := range n.ranges {
		a, err := r.Take(id)
		if err != nil {
			n.mu.Unlock()
			return nil, err
		}
		addrs = append(addrs, a)
	}
	n.mu.Unlock()
	return addrs, n.save()
}

// save writes the state down. The lock makes the last one to be written the newest.
func (n *Node) save() error {
	if n.config.Save == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table.mu.Lock()
	s := State{Ranges: n.ranges, Ports: maps.Clone(n.table.owners)}
	n.table.mu.Unlock()
	if err := n.config.Save(s); err != nil {
		return fmt.Errorf("save the addresses: %w", err)
	}
	return nil
}

// Egress says why pods cannot get out of this node, nil if they can: a node condition.
func (n *Node) Egress() error {
	if n.table.nft == nil {
		return errors.New("pods have no egress: nft cannot be used here: apt-get install nftables, and run the agent in a network namespace of its own")
	}
	for _, r := range n.ranges {
		routes, err := netlink.RouteListFiltered(family(r.Prefix.Addr()), &netlink.Route{}, netlink.RT_FILTER_DST)
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
