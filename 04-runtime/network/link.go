package network

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// HostMAC is that of the node's end of every link. Each link is a wire of its own, so
// they do not meet.
var HostMAC = net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}

// routeProtocol marks our routes in the kernel's tables (rtnetlink(7), rtm_protocol).
const routeProtocol = netlink.RouteProtocol(0xc4)

// PodMAC is that of the pod with this address: a locally administered one.
func PodMAC(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{0x0a, 0x58}, b[len(b)-4:]...)
}

// Gateway is where pods send what is not for themselves.
func Gateway(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{169, 254, 1, 1})
	}
	return netip.MustParseAddr("fe80::1")
}

const linkPrefix = "coracle"

// LinkName is the node's end of a pod's link: 15 bytes, all that an interface may have.
func LinkName(pod string) string {
	return fmt.Sprintf("%s%x", linkPrefix, sha256.Sum256([]byte(pod)))[:15]
}

// linkNames lists the node's ends that exist.
func linkNames() (names []string, err error) {
	links, err := whole(netlink.LinkList)
	for _, l := range links {
		if name := l.Attrs().Name; l.Type() == "veth" && len(name) == 15 && strings.HasPrefix(name, linkPrefix) {
			names = append(names, name)
		}
	}
	return names, err
}

// AwaitAddress waits until the pod's address can be used.
func (n *netNS) AwaitAddress(a netip.Addr) error { return awaitLocal(n.Handle, a) }

// A netNS is a network namespace to make links in: netlink's sockets belong to the
// namespace in which they were opened.
type netNS struct {
	*netlink.Handle
	file *os.File
	FD   int
}

func openNetNS(path string) (*netNS, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	n := &netNS{file: file, FD: int(file.Fd())}
	err = InNetNS(path, func() (err error) {
		n.Handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	return n, nil
}

func (n *netNS) Close() {
	n.Handle.Close()
	n.file.Close()
}

// HasOtherEnd says whether this namespace's eth0 and host are one pair: each has the
// other's index as its link.
func (n *netNS) HasOtherEnd(host netlink.Link) bool {
	eth0, err := n.LinkByName("eth0")
	return err == nil && eth0.Attrs().ParentIndex == host.Attrs().Index && host.Attrs().ParentIndex == eth0.Attrs().Index
}

func isNotFound(err error) bool {
	return errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func single(a netip.Addr) *net.IPNet { return ipNet(netip.PrefixFrom(a, a.BitLen())) }

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// awaitLocal waits until the kernel takes an address for its own. Of IPv6 it does so
// some time after it was given (addrconf_dad_work, net/ipv6/addrconf.c); who connects
// to it before would search the wire for it, for seconds.
func awaitLocal(h *netlink.Handle, a netip.Addr) error {
	for range 1000 {
		routes, err := h.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("the kernel does not take %v for its own after a second", a)
}

func addrOf(a netip.Addr) *netlink.Addr {
	flags := 0
	if a.Is6() {
		flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	}
	return &netlink.Addr{IPNet: single(a), Flags: flags}
}

func neighbour(link int, a netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: link, Family: family(a), State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac}
}

func hostRoute(link int, a netip.Addr) *netlink.Route {
	return &netlink.Route{LinkIndex: link, Family: family(a), Dst: single(a), Scope: netlink.SCOPE_LINK, Protocol: routeProtocol}
}

func defaultVia(link int, gateway netip.Addr) *netlink.Route {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if gateway.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return &netlink.Route{LinkIndex: link, Family: family(gateway), Dst: ipNet(all), Gw: gateway.AsSlice(), Protocol: routeProtocol}
}

// whole asks again while the kernel says that what it lists changed meanwhile, as on a
// node where pods come and go it does (NLM_F_DUMP_INTR, netlink(7)).
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	for range 100 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
