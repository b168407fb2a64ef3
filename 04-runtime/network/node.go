package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// A Config is what a Node needs to know.
type Config struct {
	Name    string         // the node's
	Ranges  []netip.Prefix // for its pods: one of each family at most, the first one's address is a pod's first
	Cluster []netip.Prefix // what besides these is reached without a disguise
	MTU     int            // of the pods' interfaces; 0 is 1500
	NoNFT   bool           // do without nft, as where there is none
	Listen  Listen         // where ports shall be had besides this network namespace: see Borrow; may be nil

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
	noNFT  error // why there is none
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
