package network

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// node prepares the node for tests of links alone.
func node(t testing.TB) {
	t.Helper()
	sandbox.Need(t)
	nothingLeft(t)
	for _, s := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		check.NoError(t, s, SetSysctl(s, "1"))
	}
	lo, err := netlink.LinkByName("lo")
	check.NoError(t, "lo", err)
	for _, a := range []string{"10.88.0.1", "fd00:88::1"} {
		addr := addrOf(netip.MustParseAddr(a))
		check.NoError(t, "node address", netlink.AddrReplace(lo, addr))
		t.Cleanup(func() { netlink.AddrDel(lo, addr) })
	}
}

func link(t testing.TB, name string, addrs ...string) Link {
	t.Helper()
	l := Link{NetNS: pod(t), Host: LinkName(name), MTU: 1400}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
	}
	return l
}

func up(t testing.TB, l Link) {
	t.Helper()
	t.Cleanup(func() { check.NoError(t, "Down", l.Down()) })
	check.NoError(t, "Up", l.Up())
}

func TestLink_NodeAndPod(t *testing.T) {
	node(t)
	a := link(t, "a", "10.88.0.2", "fd00:88::2")
	up(t, a)
	for _, network := range []string{"tcp", "udp"} {
		for _, addr := range []string{"10.88.0.2", "fd00:88::2"} {
			echo(t, a.NetNS, network, at(addr, 80))
		}
		echo(t, "", network, at("10.88.0.1", 81))
		echo(t, "", network, at("fd00:88::1", 81))
		hears(t, "the node to the pod, "+network, "", network, at("10.88.0.2", 80), "10.88.0.1")
		hears(t, "the node to the pod, IPv6, "+network, "", network, at("fd00:88::2", 80), "fd00:88::1")
		hears(t, "the pod to the node, "+network, a.NetNS, network, at("10.88.0.1", 81), "10.88.0.2")
		hears(t, "the pod to the node, IPv6, "+network, a.NetNS, network, at("fd00:88::1", 81), "fd00:88::2")
	}
}

func TestLink_PodToPod(t *testing.T) {
	node(t)
	// Where bridges are filtered, it must not be what makes this work.
	if off, _ := filepath.Glob("/proc/sys/net/bridge/bridge-nf-call-ip*tables"); len(off) > 0 {
		for _, f := range off {
			check.NoError(t, "bridge-nf-call off", SetSysctl(strings.TrimPrefix(f, "/proc/sys/net/"), "0"))
		}
	}
	a, b := link(t, "a", "10.88.0.2", "fd00:88::2"), link(t, "b", "10.88.0.3", "fd00:88::3")
	up(t, a)
	up(t, b)
	for _, network := range []string{"tcp", "udp"} {
		echo(t, b.NetNS, network, at("10.88.0.3", 80))
		echo(t, b.NetNS, network, at("fd00:88::3", 80))
		hears(t, "pod to pod, "+network, a.NetNS, network, at("10.88.0.3", 80), "10.88.0.2")
		hears(t, "pod to pod, IPv6, "+network, a.NetNS, network, at("fd00:88::3", 80), "fd00:88::2")
	}
	for _, netns := range []string{"", a.NetNS} {
		check.NoError(t, "links", in(netns, func() error {
			links, err := netlink.LinkList()
			for _, l := range links {
				check.True(t, "a link's kind", l.Type() == "veth" || l.Attrs().Name == "lo", l.Type(), "a veth or lo",
					check.Often(l.Type() == "bridge", "the pods are on a shared bridge"))
			}
			return err
		}))
	}
}

// The kernel takes its time with addresses of IPv6.
func TestLink_OwnAddressAtOnce(t *testing.T) {
	node(t)
	for i := range 20 {
		addr := fmt.Sprintf("fd00:88::%x", i+16)
		a := link(t, fmt.Sprint(i), addr)
		up(t, a)
		_, err := askFor(500*time.Millisecond, a.NetNS, "tcp", at(addr, 80), "ping")
		check.ErrorIs(t, "a pod asks a port of its own where nobody listens", err, unix.ECONNREFUSED,
			check.Often(true, "Up returns before the address can be used"))
	}
}

func TestLink_MTU(t *testing.T) {
	node(t)
	a, b := link(t, "a", "10.88.0.2"), link(t, "b", "10.88.0.3")
	up(t, a)
	up(t, b)
	echo(t, b.NetNS, "tcp", at("10.88.0.3", 80))
	big := strings.Repeat("x", 200_000)
	got, err := ask(a.NetNS, "tcp", at("10.88.0.3", 80), big)
	check.NoError(t, "200 kB to another pod", err)
	check.Equal(t, "bytes that came back", len("from 10.88.0.2 ")+len(big), len(got))
	for _, c := range []struct {
		payload int
		want    error
	}{{1400 - 28, nil}, {1400 - 27, unix.EMSGSIZE}} {
		err := in(a.NetNS, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			check.NoError(t, "socket", err)
			defer unix.Close(fd)
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
			return unix.Sendto(fd, make([]byte, c.payload), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 88, 0, 3}})
		})
		check.Equal(t, "an unfragmented packet at the MTU, and one byte more", c.want, err)
	}
}

func TestLink_Again(t *testing.T) {
	node(t)
	a := link(t, "a", "10.88.0.2", "fd00:88::2")
	up(t, a)
	before, err := netlink.LinkByName(a.Host)
	check.NoError(t, "link", err)
	// Half of it is taken away.
	check.NoError(t, "remove a route", netlink.RouteDel(hostRoute(before.Attrs().Index, a.Addrs[0])))
	check.NoError(t, "remove an address", in(a.NetNS, func() error {
		out, err := exec.Command("ip", "addr", "flush", "dev", "eth0").CombinedOutput()
		if err != nil {
			t.Log(string(out))
		}
		return err
	}))
	check.NoError(t, "Up again", a.Up())
	after, err := netlink.LinkByName(a.Host)
	check.NoError(t, "link", err)
	check.Equal(t, "the link's index after a second Up", before.Attrs().Index, after.Attrs().Index,
		check.Often(true, "a link that is there is made anew, and its connections end"))
	echo(t, a.NetNS, "tcp", at("10.88.0.2", 80))
	echo(t, a.NetNS, "tcp", at("fd00:88::2", 80))
	hears(t, "after it", "", "tcp", at("10.88.0.2", 80), "10.88.0.1")
	hears(t, "after it, IPv6", "", "tcp", at("fd00:88::2", 80), "fd00:88::1")

	// The same name with another pod's end is stale.
	b := link(t, "b", "10.88.0.2")
	b.Host = a.Host
	check.NoError(t, "Up for a new namespace", b.Up())
	echo(t, b.NetNS, "tcp", at("10.88.0.2", 80))
	hears(t, "the new pod", "", "tcp", at("10.88.0.2", 80), "10.88.0.1")
}

func TestLink_FailureLeavesNothing(t *testing.T) {
	node(t)
	a := link(t, "a", "10.88.0.2")
	check.NoError(t, "a foreign eth0", in(a.NetNS, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth1"})
	}))
	check.ErrorHas(t, "Up where there is an eth0", a.Up(), []string{a.Host, "eth0"})
	b := link(t, "b", "10.88.0.3")
	b.MTU = 10 // less than any address needs
	check.True(t, "Up with an MTU of 10", b.Up() != nil, "no error", "an error")
	b.NetNS = "/nowhere"
	check.ErrorHas(t, "Up in no namespace", b.Up(), []string{"/nowhere"})
	check.NoError(t, "Down of what is not there", b.Down())
}
