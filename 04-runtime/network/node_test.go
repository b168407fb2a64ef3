package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// NFT is there where rules can be written.
var NFT = sandbox.Feature{
	Name: "nft", Fix: "apt-get install nftables",
	Has: func() error { return exec.Command("nft", "list", "tables").Run() },
}

var twoFamilies = []netip.Prefix{netip.MustParsePrefix("10.88.0.0/24"), netip.MustParsePrefix("fd00:88::/64")}

// openNode opens a node that is destroyed after the test, when nothing may be left.
func openNode(t testing.TB, c Config) *Node {
	t.Helper()
	nothingLeft(t)
	return reopen(t, c)
}

func reopen(t testing.TB, c Config) *Node {
	t.Helper()
	if c.Ranges == nil {
		c.Ranges = twoFamilies
	}
	c.Name = "test"
	n, err := Open(t.Context(), c)
	check.NoError(t, "Open", err)
	t.Cleanup(func() { check.NoError(t, "Destroy", n.Destroy(context.Background())) })
	return n
}

func add(t testing.TB, n *Node, name string, ports ...Port) Pod {
	t.Helper()
	p := Pod{ID: name, Name: "default/" + name, NetNS: pod(t), Ports: ports}
	_, err := n.Add(t.Context(), p)
	check.NoError(t, "Add "+name, err)
	return p
}

// outside is a namespace that plays the rest of the world, at 203.0.113.2 and
// 2001:db8::2; the node is 203.0.113.1 and 2001:db8::1 there.
func outside(t testing.TB) string {
	t.Helper()
	netns := pod(t)
	ns, err := openNetNS(netns)
	check.NoError(t, "outside", err)
	defer ns.Close()
	check.NoError(t, "a link to the outside", netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.FD)}))
	t.Cleanup(func() { exec.Command("ip", "link", "del", "uplink").Run() })
	run := func(args ...string) {
		out, err := exec.Command("ip", args...).CombinedOutput()
		check.NoError(t, fmt.Sprint("ip ", args, string(out)), err)
	}
	setup := func(dev, last string) {
		run("addr", "add", "203.0.113."+last+"/24", "dev", dev)
		run("addr", "add", "2001:db8::"+last+"/64", "dev", dev, "nodad")
		run("link", "set", dev, "up")
	}
	setup("uplink", "1")
	check.NoError(t, "outside", in(netns, func() error { setup("eth0", "2"); return nil }))
	check.Eventually(t, "the outside", "it answers the node", func() bool {
		c, err := net.DialTimeout("tcp", "[2001:db8::2]:9", 100*time.Millisecond)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	run("route", "add", "default", "via", "203.0.113.2")
	run("route", "add", "default", "via", "2001:db8::2")
	return netns
}

func TestNode_Egress(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	check.True(t, "Egress without a default route", n.Egress() != nil, "no error", "an error that says so")
	world := outside(t)
	check.NoError(t, "Egress", n.Egress())
	a, b := add(t, n, "a"), add(t, n, "b")
	for _, network := range []string{"tcp", "udp"} {
		echo(t, world, network, at("203.0.113.2", 80))
		echo(t, world, network, at("2001:db8::2", 80))
		hears(t, "a pod to the outside, "+network, a.NetNS, network, at("203.0.113.2", 80), "203.0.113.1",
			check.Often(true, "there is no masquerade: the answer has no way to the pod"))
		hears(t, "a pod to the outside, IPv6, "+network, a.NetNS, network, at("2001:db8::2", 80), "2001:db8::1")
		echo(t, b.NetNS, network, at("10.88.0.3", 80))
		hears(t, "pod to pod, "+network, a.NetNS, network, at("10.88.0.3", 80), "10.88.0.2",
			check.Often(true, "pods meet each other in disguise"))
	}
	_, err := ask(a.NetNS, "tcp", at("10.88.0.99", 80), "ping")
	check.ErrorIs(t, "a pod to an address that nobody has", err, syscall.EHOSTUNREACH)
	stats, err := Stats(a.NetNS)
	check.NoError(t, "Stats", err)
	check.True(t, "Stats of eth0", len(stats) == 1 && stats["eth0"].TxBytes > 0 && stats["eth0"].RxBytes > 0, fmt.Sprint(stats), "bytes both ways")
}

func TestNode_Ports(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	world := outside(t)
	a := add(t, n, "a", Port{"", 8080, 80, "tcp"}, Port{"", 8080, 80, "udp"}, Port{"203.0.113.1", 9090, 80, "tcp"})
	b := add(t, n, "b")
	for _, network := range []string{"tcp", "udp"} {
		echo(t, a.NetNS, network, at("10.88.0.2", 80))
		echo(t, a.NetNS, network, at("fd00:88::2", 80))
		hears(t, "from outside, "+network, world, network, at("203.0.113.1", 8080), "203.0.113.2")
		hears(t, "from outside, IPv6, "+network, world, network, at("2001:db8::1", 8080), "2001:db8::2")
		hears(t, "from the node, "+network, "", network, at("203.0.113.1", 8080), "203.0.113.1")
		hears(t, "from the node by 127.0.0.1, "+network, "", network, at("127.0.0.1", 8080), "10.88.0.1",
			check.Often(true, "127.0.0.1 leaves lo as a source, or the link lacks route_localnet"))
		hears(t, "from another pod, "+network, b.NetNS, network, at("203.0.113.1", 8080), "10.88.0.3")
		hears(t, "hairpin, "+network, a.NetNS, network, at("203.0.113.1", 8080), "10.88.0.1",
			check.Often(true, "a pod that is led back to itself answers past the one who translates"))
		hears(t, "hairpin, IPv6, "+network, a.NetNS, network, at("2001:db8::1", 8080), "fd00:88::1")
	}
	hears(t, "hostIP", world, "tcp", at("203.0.113.1", 9090), "203.0.113.2")
	deaf(t, "hostIP, asked at another address", "", "tcp", at("10.88.0.1", 9090))
	check.NoError(t, "Remove", n.Remove(t.Context(), "a"))
	deaf(t, "the port of a pod that is gone", world, "tcp", at("203.0.113.1", 8080))
	check.NoError(t, "somebody removes our table", exec.Command("nft", "delete", "table", "inet", "coracle-test").Run())
	c := add(t, n, "c", Port{"", 8081, 80, "tcp"})
	echo(t, c.NetNS, "tcp", at("10.88.0.4", 80))
	hears(t, "a port when the table was removed by others", world, "tcp", at("203.0.113.1", 8081), "203.0.113.2")
}

// A client of UDP that never stops reaches whoever has the port now.
func TestNode_FlowOfUDP(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	world := outside(t)
	var c net.Conn
	check.NoError(t, "a client", in(world, func() (err error) { c, err = net.Dial("udp", "203.0.113.1:8080"); return err }))
	defer c.Close()
	answered := func(did string) {
		check.Eventually(t, did, "an answer to the same client", func() bool {
			c.SetDeadline(time.Now().Add(50 * time.Millisecond))
			c.Write([]byte("ping"))
			_, err := c.Read(make([]byte, 64))
			return err == nil
		}, check.Often(true, "the kernel goes on translating a flow as it began"))
	}
	c.Write([]byte("nobody there"))
	first := add(t, n, "first", Port{"", 8080, 80, "udp"})
	echo(t, first.NetNS, "udp", at("10.88.0.2", 80))
	answered("the port is published")
	check.NoError(t, "Remove", n.Remove(t.Context(), "first"))
	second := add(t, n, "second", Port{"", 8080, 80, "udp"})
	echo(t, second.NetNS, "udp", at("10.88.0.3", 80))
	answered("another pod has the port")
}

func TestNode_PortTaken(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	add(t, n, "a", Port{"", 8080, 80, "tcp"})
	before := kernelState(t)
	refused := func(did, by string, port Port) {
		t.Helper()
		netns := pod(t)
		_, err := n.Add(t.Context(), Pod{ID: "b", Name: "default/b", NetNS: netns, Ports: []Port{port}})
		check.ErrorIs(t, did, err, ErrTaken)
		check.ErrorHas(t, did, err, []string{"default/b", fmt.Sprint(port.HostPort), by})
		check.Equal(t, "what it left", before, kernelState(t))
	}
	refused("a port of another pod", "pod default/a", Port{"127.0.0.1", 8080, 80, "tcp"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, "listen", err)
	defer l.Close()
	refused("a port of a program", fmt.Sprintf("process %d", os.Getpid()), Port{"", l.Addr().(*net.TCPAddr).Port, 80, "tcp"})
	u, err := net.ListenPacket("udp6", "[::]:0")
	check.NoError(t, "listen", err)
	defer u.Close()
	refused("a UDP port of a program", fmt.Sprintf("process %d", os.Getpid()), Port{"", u.LocalAddr().(*net.UDPAddr).Port, 80, "udp"})
	add(t, n, "c", Port{"", 8080, 80, "udp"})
}

// What listens on the node's 127.0.0.1 is not the pods', though their links let that
// net in.
func TestNode_LocalhostIsTheNodes(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	a := add(t, n, "a", Port{"", 8080, 80, "udp"})
	echo(t, a.NetNS, "udp", at("10.88.0.2", 80))
	echo(t, "", "udp", at("127.0.0.1", 8081))
	// The pod tries: 127.0.0.1 by eth0, from its own address.
	check.NoError(t, "a pod's route to 127.0.0.1", in(a.NetNS, func() error {
		for _, c := range []string{
			"echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet", "ip addr del 127.0.0.1/8 dev lo",
			"ip route add 127.0.0.1 via 169.254.1.1 dev eth0 src 10.88.0.2",
		} {
			if out, err := exec.Command("sh", "-c", c).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c, err, out)
			}
		}
		return nil
	}))
	deaf(t, "a pod to the node's 127.0.0.1", a.NetNS, "udp", at("127.0.0.1", 8081))
	deaf(t, "a pod to a pod's port there", a.NetNS, "udp", at("127.0.0.1", 8080))
	check.NoError(t, "the link lets it in", exec.Command("nft", "flush", "chain", "inet", "coracle-test", "input").Run())
	hears(t, "the same without the rule", a.NetNS, "udp", at("127.0.0.1", 8081), "10.88.0.2")
}

// A pod cannot speak as another.
func TestNode_ForgedSource(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	add(t, n, "a")
	b := add(t, n, "b")
	l, err := net.ListenPacket("udp", "0.0.0.0:80")
	check.NoError(t, "listen", err)
	defer l.Close()
	check.NoError(t, "b takes a's address", in(b.NetNS, func() error {
		return exec.Command("ip", "addr", "add", "10.88.0.2/32", "dev", "eth0").Run()
	}))
	// What is sent first would arrive first.
	for _, from := range []string{"10.88.0.2", "10.88.0.3"} {
		check.NoError(t, "send from "+from, in(b.NetNS, func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP("10.88.0.1"), Port: 80})
			if err == nil {
				c.Write([]byte("ping"))
				c.Close()
			}
			return err
		}))
	}
	l.SetDeadline(time.Now().Add(check.Deadline))
	_, from, err := l.ReadFrom(make([]byte, 9))
	check.NoError(t, "what the node hears", err)
	check.Equal(t, "who it hears first", "10.88.0.3", from.(*net.UDPAddr).IP.String(), check.Often(true, "a pod can send with another pod's address"))
}

func TestNode_Restart(t *testing.T) {
	sandbox.Need(t, NFT)
	var saved []byte
	config := Config{Save: func(s State) (err error) { saved, err = json.Marshal(s); return err }}
	n := openNode(t, config)
	a := add(t, n, "a", Port{"", 8080, 80, "tcp"})
	echo(t, a.NetNS, "tcp", at("10.88.0.2", 80))
	// One more is half made: it has a link, and the agent died before it was saved.
	half := link(t, "half", "10.88.0.77")
	check.NoError(t, "half a pod", half.Up())
	conn, err := net.DialTimeout("tcp", "10.88.0.2:80", check.Deadline)
	check.NoError(t, "a connection", err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(check.Deadline))

	config.Saved = new(State)
	check.NoError(t, "read the state", json.Unmarshal(saved, config.Saved))
	n = reopen(t, config)
	_, err = netlink.LinkByName(half.Host)
	check.True(t, "the link of the half-made pod", isNotFound(err), "still there", "gone")
	addrs, err := n.Add(t.Context(), a)
	check.NoError(t, "Add of a pod that is there", err)
	check.Equal(t, "its address", "10.88.0.2", addrs[0].String())
	conn.Write([]byte("ping"))
	conn.(*net.TCPConn).CloseWrite()
	buf := make([]byte, 64)
	got, _ := conn.Read(buf)
	check.Equal(t, "the connection from before", "from 10.88.0.1 ping", string(buf[:got]))
	hears(t, "its port", "", "tcp", at("127.0.0.1", 8080), "10.88.0.1")
	b := Pod{ID: "b", Name: "default/b", NetNS: pod(t)}
	addrs, err = n.Add(t.Context(), b)
	check.NoError(t, "Add of another", err)
	check.Equal(t, "its address", "10.88.0.3", addrs[0].String())
	check.Equal(t, "Pods", []string{"a", "b"}, n.Pods())
}

func TestNode_ExhaustedAndSaveFails(t *testing.T) {
	sandbox.Need(t)
	fails := false
	n := openNode(t, Config{Ranges: []netip.Prefix{netip.MustParsePrefix("10.88.0.0/29"), twoFamilies[1]}, NoNFT: true,
		Save: func(State) error {
			if fails {
				return os.ErrPermission
			}
			return nil
		}})
	for i := range 5 { // .2 to .6
		add(t, n, fmt.Sprint(i))
	}
	before := kernelState(t)
	p := Pod{ID: "late", Name: "default/late", NetNS: pod(t)}
	_, err := n.Add(t.Context(), p)
	check.ErrorIs(t, "Add of the sixth of five", err, ErrExhausted)
	check.NoError(t, "Remove", n.Remove(t.Context(), "3"))
	fails = true
	_, err = n.Add(t.Context(), p)
	check.ErrorIs(t, "Add when nothing can be saved", err, os.ErrPermission)
	fails = false
	addrs, err := n.Add(t.Context(), p)
	check.NoError(t, "Add", err)
	check.Equal(t, "its address", "10.88.0.5", addrs[0].String())
	check.NoError(t, "Remove", n.Remove(t.Context(), "late"))
	check.True(t, "links", before != kernelState(t), "as before", "one fewer")
}

func TestOpen_Ranges(t *testing.T) {
	sandbox.Need(t)
	for _, bad := range [][]netip.Prefix{nil, {twoFamilies[0], twoFamilies[0]}, {netip.MustParsePrefix("10.0.0.1/32")}} {
		_, err := Open(t.Context(), Config{Name: "test", Ranges: bad})
		check.ErrorHas(t, fmt.Sprint("Open with ", bad), err, []string{"range"})
	}
	for _, one := range twoFamilies {
		t.Run(one.String(), func(t *testing.T) {
			n := openNode(t, Config{Ranges: []netip.Prefix{one}, NoNFT: true})
			a, b := add(t, n, "a"), add(t, n, "b")
			own := one.Addr().Next().Next()
			echo(t, a.NetNS, "tcp", netip.AddrPortFrom(own, 80))
			hears(t, "pod to pod", b.NetNS, "tcp", netip.AddrPortFrom(own, 80), own.Next().String())
		})
	}
}

// A burst of pods at once: each has addresses of its own, and a port that leads to it.
func TestNode_ManyAtOnce(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{Save: func(s State) error { _, err := json.Marshal(s); return err }})
	const many = 20
	pods := make([]Pod, many)
	for i := range pods {
		pods[i] = Pod{ID: fmt.Sprint(i), Name: fmt.Sprint("default/", i), NetNS: pod(t), Ports: []Port{{"", 8000 + i, 80, "tcp"}}}
	}
	each := func(did string, f func(Pod) error) {
		errs := make(chan error, many)
		for _, p := range pods {
			go func() { errs <- f(p) }()
		}
		for range pods {
			_, err := check.Within(t, did, "twenty pods", func() (struct{}, error) { return struct{}{}, <-errs })
			check.NoError(t, did, err)
		}
	}
	var seen sync.Map
	each("Add", func(p Pod) error {
		addrs, err := n.Add(t.Context(), p)
		if other, twice := seen.LoadOrStore(fmt.Sprint(addrs), p.ID); err == nil && twice {
			return fmt.Errorf("%v for %s and %v", addrs, p.ID, other)
		}
		return err
	})
	for i, p := range pods {
		echo(t, p.NetNS, "tcp", at("0.0.0.0", 80))
		hears(t, "its port", "", "tcp", at("127.0.0.1", uint16(8000+i)), "10.88.0.1")
	}
	each("Remove", func(p Pod) error { return n.Remove(t.Context(), p.ID) })
	check.Equal(t, "Pods after it", 0, len(n.Pods()))
}

func TestNode_Peers(t *testing.T) {
	sandbox.Need(t, NFT)
	n := openNode(t, Config{})
	world := outside(t)
	a := add(t, n, "a")
	// The outside is another node, with the range 10.89.0.0/24.
	check.NoError(t, "the other node", in(world, func() error {
		return exec.Command("sh", "-c", "ip addr add 10.89.0.2/32 dev lo && ip route add 10.88.0.0/24 via 203.0.113.1").Run()
	}))
	echo(t, world, "tcp", at("10.89.0.2", 80))
	src := make(peerChan)
	ctx, cancel := context.WithCancel(t.Context())
	failed, done := make(chan error, 9), make(chan struct{})
	go func() { defer close(done); n.FollowPeers(ctx, src, func(err error) { failed <- err }) }()
	peer := Peer{"b", []netip.Prefix{netip.MustParsePrefix("10.89.0.0/24")}, []netip.Addr{netip.MustParseAddr("203.0.113.2")}}
	src <- []Peer{peer}
	src <- []Peer{peer, {"c", []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24")}, nil}}
	_, err := check.Within(t, "a peer that cannot be reached", "an error", func() (struct{}, error) { return struct{}{}, <-failed })
	check.ErrorHas(t, "a peer that cannot be reached", err, []string{"node c", "10.90.0.0/24"})
	hears(t, "to a pod of another node", a.NetNS, "tcp", at("10.89.0.2", 80), "10.88.0.2",
		check.Often(true, "other nodes' pods are met in disguise"))
	src <- nil
	src <- nil // the first one is done when the second is taken
	out, _ := exec.Command("ip", "route", "show", "10.89.0.0/24").Output()
	check.Equal(t, "the route when the peer is gone", "", string(out))
	cancel()
	close(src)
	<-done
	for range (NoPeers{}).Peers(ctx) {
		t.Error("NoPeers sent something")
	}
}

type peerChan chan []Peer

func (p peerChan) Peers(context.Context) <-chan []Peer { return p }
