package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// NewRange returns a range of which nothing is held. Bits of p below its length count
// for nothing. Besides what is reserved, the first address is never given, and of IPv4
// the last one: the network's and the broadcast address; of IPv6 the first is that of
// all its routers (RFC 4291, 2.6.1).
//
// Errors: a prefix with no address left to give; a reserved one outside of it.
func NewRange(p netip.Prefix, reserved ...netip.Addr) (*Range, error) {
	p = p.Masked()
	r := &Range{Prefix: p, Reserved: reserved, Next: p.Addr().Next(), Held: map[netip.Addr]string{}}
	if !p.IsValid() || p.Addr().BitLen()-p.Bits() < 2 {
		return nil, fmt.Errorf("range %v: want at least four addresses", p)
	}
	for _, a := range reserved {
		if !p.Contains(a) {
			return nil, fmt.Errorf("range %v: reserved address %v is not in it", p, a)
		}
	}
	return r, nil
}

// Take gives owner an address: the one that it has; or else the lowest that nobody ever
// had; or else the one given back longest ago. Somewhere a client still has a
// connection to the pod that was there, or its name in a cache: the longer the wait,
// the fewer of them talk to a stranger.
//
// Errors: ErrExhausted, with the range and how many are held.
func (r *Range) Take(owner string) (netip.Addr, error) {
	for a, o := range r.Held {
		if o == owner {
			return a, nil
		}
	}
	for r.Prefix.Contains(r.Next) {
		a := r.Next
		r.Next = a.Next()
		last := a.Is4() && !r.Prefix.Contains(r.Next)
		if !last && !slices.Contains(r.Reserved, a) {
			r.Held[a] = owner
			return a, nil
		}
	}
	if len(r.Free) == 0 {
		return netip.Addr{}, fmt.Errorf("range %v, %d held: %w", r.Prefix, len(r.Held), ErrExhausted)
	}
	a := r.Free[0]
	r.Free = slices.Delete(r.Free, 0, 1)
	r.Held[a] = owner
	return a, nil
}

// Give takes back what owner holds. It may be called again, and for strangers.
func (r *Range) Give(owner string) {
	for a, o := range r.Held {
		if o == owner {
			delete(r.Held, a)
			r.Free = append(r.Free, a)
		}
	}
}
