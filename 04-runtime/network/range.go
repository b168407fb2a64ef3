package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrExhausted is that every address of a range is held or reserved.
var ErrExhausted = errors.New("no address is free")

// A Range is the addresses that a node gives to its pods, IPv4 or IPv6. It is its own
// checkpoint: marshalled and read back, it goes on where it was.
type Range struct {
	Prefix   netip.Prefix
	Reserved []netip.Addr          // never given
	Next     netip.Addr            // nobody had this one yet, nor any above it
	Free     []netip.Addr          // given back, the oldest first
	Held     map[netip.Addr]string // and by whom: an owner holds one at most
}

// Check is the invariant: an address is held, free, or neither, and never both; each of
// these is in the range and not reserved; no owner has two.
func (r *Range) Check() error {
	seen, owners := map[netip.Addr]bool{}, map[string]netip.Addr{}
	see := func(a netip.Addr, what string) error {
		switch {
		case seen[a]:
			return fmt.Errorf("range %v: %v is there twice", r.Prefix, a)
		case !r.Prefix.Contains(a) || slices.Contains(r.Reserved, a) || a == r.Prefix.Addr():
			return fmt.Errorf("range %v: %v is %s, and not one to give", r.Prefix, a, what)
		case r.Prefix.Contains(r.Next) && !a.Less(r.Next):
			return fmt.Errorf("range %v: %v is %s, and %v the first that nobody had", r.Prefix, a, what, r.Next)
		}
		seen[a] = true
		return nil
	}
	for a, o := range r.Held {
		if err := see(a, "held by "+o); err != nil {
			return err
		}
		if b, two := owners[o]; two {
			return fmt.Errorf("range %v: %s holds %v and %v", r.Prefix, o, a, b)
		}
		owners[o] = a
	}
	for _, a := range r.Free {
		if err := see(a, "free"); err != nil {
			return err
		}
	}
	return nil
}
