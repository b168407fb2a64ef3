package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
)

// A Link is a pod's connection: a pair of virtual interfaces, eth0 in the pod and Host
// on the node. What is sent into one end comes out of the other.
type Link struct {
	NetNS string       // the file that the pod's network namespace is bound to
	Host  string       // the node's end; at most 15 bytes
	Addrs []netip.Addr // the pod's, one of each family at most
	MTU   int          // bytes of an IP packet
}

// Up connects the pod. Each end has addresses of one host only (/32, /128), so that the
// pod thinks nobody its neighbour and sends everything to the node:
//
//	in the pod   10.88.0.7/32 on eth0
//	             169.254.1.1 dev eth0 scope link         the gateway's address is the same
//	             default via 169.254.1.1                 for all pods, and nobody has it:
//	             neighbour 169.254.1.1 is HostMAC        who asked for it would wait long
//	on the node  10.88.0.7 dev Host scope link
//	             neighbour 10.88.0.7 is the pod's MAC
//
// and with IPv6 the same with /128 and fe80::1, and without the search for another who
// has the address (IFA_F_NODAD): there is none on this wire, and until it ends, after a
// second, the address cannot be used. Even so the kernel takes its time: AwaitAddress.
//
// Up may be called again: what is as it should be stays, so that connections live on,
// what is missing is added. A Host end whose other end is not this pod's eth0 is
// removed first. After an error nothing of the link is left.
//
// Both MACs are given when the pair is made, and eth0 is born in the pod: renaming and
// moving it, or programs on the node that give new links another MAC, would come between.
func (l Link) Up() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("link %s: %w", l.Host, err), l.Down())
		}
	}()
	pod, err := openNetNS(l.NetNS)
	if err != nil {
		return err
	}
	defer pod.Close()
	host, err := netlink.LinkByName(l.Host)
	if err == nil && !pod.HasOtherEnd(host) {
		if err = l.Down(); err != nil {
			return err
		}
		host = nil
	} else if err != nil && !isNotFound(err) {
		return err
	}
	podMAC := PodMAC(l.Addrs[0])
	if host == nil {
		host = &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: l.Host, MTU: l.MTU, HardwareAddr: HostMAC},
			PeerName:  "eth0", PeerMTU: uint32(l.MTU), PeerHardwareAddr: podMAC, PeerNamespace: netlink.NsFd(pod.FD),
		}
		if err := netlink.LinkAdd(host); errors.Is(err, os.ErrExist) {
			return fmt.Errorf("the pod has an eth0 that is not ours: %w", err)
		} else if err != nil {
			return err
		}
		if host, err = netlink.LinkByName(l.Host); err != nil { // its index
			return err
		}
	}
	eth0, err := pod.LinkByName("eth0")
	if err != nil {
		return err
	}
	// A route can only be had over a link that is up.
	if err := pod.LinkSetUp(eth0); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(host); err != nil {
		return err
	}
	in, out := eth0.Attrs().Index, host.Attrs().Index
	for _, a := range l.Addrs {
		gateway := Gateway(a)
		if err := errors.Join(
			pod.AddrReplace(eth0, addrOf(a)),
			pod.AwaitAddress(a),
			pod.NeighSet(neighbour(in, gateway, HostMAC)),
			pod.RouteReplace(hostRoute(in, gateway)),
			pod.RouteReplace(defaultVia(in, gateway)),
			netlink.NeighSet(neighbour(out, a, podMAC)),
			netlink.RouteReplace(hostRoute(out, a)),
		); err != nil {
			return fmt.Errorf("address %v: %w", a, err)
		}
	}
	return nil
}

// Down removes the link: one end goes with the other, and the routes, neighbours and
// addresses with both. Nothing there is no error.
func (l Link) Down() error {
	host, err := netlink.LinkByName(l.Host)
	if err == nil {
		err = netlink.LinkDel(host)
	}
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("remove link %s: %w", l.Host, err)
	}
	return nil
}
