package box

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// link is what rtnetlink(7) tells about one interface.
type link struct {
	index, peer int
	name        string
	flags       uint32
	mtu         uint32
	hw          net.HardwareAddr
	state       string
	kind        uint16
	addrs       []string
}

// rib asks the kernel for a whole table; each is called per message with its
// fixed part and its attributes by type.
func (c *cmd) rib(request, family int, each func(fixed []byte, attr map[uint16][]byte)) {
	raw, err := syscall.NetlinkRIB(request, family)
	c.check(on("netlink", err))
	msgs, err := syscall.ParseNetlinkMessage(raw)
	c.check(on("netlink", err))
	for _, m := range msgs {
		if m.Header.Type == syscall.NLMSG_DONE {
			return
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		c.check(on("netlink", err))
		by := map[uint16][]byte{}
		for _, a := range attrs {
			by[a.Attr.Type] = a.Value
		}
		each(m.Data, by)
	}
}

func u32(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

func (c *cmd) links() (all []*link) {
	c.rib(syscall.RTM_GETLINK, syscall.AF_UNSPEC, func(fixed []byte, a map[uint16][]byte) {
		l := &link{index: u32(fixed[4:]), flags: uint32(u32(fixed[8:])), kind: binary.NativeEndian.Uint16(fixed[2:]),
			name: unix.ByteSliceToString(a[unix.IFLA_IFNAME]), mtu: uint32(u32(a[unix.IFLA_MTU])),
			hw: a[unix.IFLA_ADDRESS], peer: u32(a[unix.IFLA_LINK])}
		states := []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"}
		if s := a[unix.IFLA_OPERSTATE]; len(s) > 0 && int(s[0]) < len(states) {
			l.state = states[s[0]]
		}
		all = append(all, l)
	})
	return all
}

func ip(c *cmd) {
	family := syscall.AF_INET
	for len(c.args) > 0 && strings.HasPrefix(c.args[0], "-") {
		switch c.args[0] {
		case "-6":
			family = syscall.AF_INET6
		case "-4":
		default:
			c.misuse()
		}
		c.args = c.args[1:]
	}
	words := append(slices.Clone(c.args), "", "", "", "")
	what := func(full string) bool { return words[0] != "" && strings.HasPrefix(full, words[0]) }
	show := words[1] == "" || strings.HasPrefix("show", words[1]) || words[1] == "list"
	dev := words[2]
	if dev == "dev" {
		dev = words[3]
	}
	switch {
	case what("link") && words[1] == "set":
		if words[2] == "dev" {
			words = words[1:]
		}
		if words[3] != "up" && words[3] != "down" {
			c.misuse()
		}
		c.check(on(words[2], setUp(words[2], words[3] == "up")))
	case what("addr") && show, what("link") && show:
		links := c.links()
		if what("addr") {
			c.addAddresses(links)
		}
		for _, l := range links {
			if dev == "" || dev == l.name {
				c.showLink(l)
			}
		}
		if dev != "" && !slices.ContainsFunc(links, func(l *link) bool { return l.name == dev }) {
			c.die(1, "%s: no such link", dev)
		}
	case what("route") && show:
		c.showRoutes(family)
	default:
		c.misuse()
	}
}

func (c *cmd) addAddresses(links []*link) {
	c.rib(syscall.RTM_GETADDR, syscall.AF_UNSPEC, func(fixed []byte, a map[uint16][]byte) {
		raw, kind := a[unix.IFA_LOCAL], "inet"
		if raw == nil {
			raw = a[unix.IFA_ADDRESS]
		}
		if fixed[0] == syscall.AF_INET6 {
			kind = "inet6"
		}
		addr, _ := netip.AddrFromSlice(raw)
		for _, l := range links {
			if l.index == u32(fixed[4:]) {
				scope := map[byte]string{0: "global", 253: "link", 254: "host"}[fixed[3]]
				l.addrs = append(l.addrs, fmt.Sprintf("%s %s/%d scope %s", kind, addr, fixed[1], scope))
			}
		}
	})
}

func (c *cmd) showLink(l *link) {
	var set []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{unix.IFF_LOOPBACK, "LOOPBACK"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_POINTOPOINT, "POINTOPOINT"},
		{unix.IFF_MULTICAST, "MULTICAST"}, {unix.IFF_NOARP, "NOARP"}, {unix.IFF_PROMISC, "PROMISC"}, {unix.IFF_UP, "UP"}, {unix.IFF_LOWER_UP, "LOWER_UP"}} {
		if l.flags&f.bit != 0 {
			set = append(set, f.name)
		}
	}
	name := l.name
	if l.peer != 0 && l.peer != l.index { // a veth's other end, often in another namespace
		name += fmt.Sprintf("@if%d", l.peer)
	}
	kind := map[uint16]string{unix.ARPHRD_LOOPBACK: "loopback", unix.ARPHRD_ETHER: "ether"}[l.kind]
	if kind == "" {
		kind = fmt.Sprintf("type%d", l.kind)
	}
	fmt.Fprintf(c.out, "%d: %s: <%s> mtu %d state %s\n    link/%s %s\n", l.index, name, strings.Join(set, ","), l.mtu, l.state, kind, l.hw)
	for _, a := range l.addrs {
		fmt.Fprintln(c.out, "    "+a)
	}
}

func (c *cmd) showRoutes(family int) {
	names := map[int]string{}
	for _, l := range c.links() {
		names[l.index] = l.name
	}
	c.rib(syscall.RTM_GETROUTE, family, func(fixed []byte, a map[uint16][]byte) {
		if fixed[4] != unix.RT_TABLE_MAIN || int(fixed[0]) != family {
			return
		}
		dst := "default"
		if addr, ok := netip.AddrFromSlice(a[unix.RTA_DST]); ok {
			if dst = addr.String(); int(fixed[1]) < addr.BitLen() {
				dst += fmt.Sprintf("/%d", fixed[1])
			}
		}
		if gw, ok := netip.AddrFromSlice(a[unix.RTA_GATEWAY]); ok {
			dst += " via " + gw.String()
		}
		if oif := u32(a[unix.RTA_OIF]); oif != 0 {
			dst += " dev " + names[oif]
		}
		if fixed[6] == unix.RT_SCOPE_LINK {
			dst += " scope link"
		}
		if src, ok := netip.AddrFromSlice(a[unix.RTA_PREFSRC]); ok {
			dst += " src " + src.String()
		}
		if m := u32(a[unix.RTA_PRIORITY]); m != 0 {
			dst += fmt.Sprintf(" metric %d", m)
		}
		fmt.Fprintln(c.out, dst)
	})
}

// setUp is netdevice(7)'s read-modify-write of an interface's flags.
func setUp(name string, up bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ioctl := func(op uintptr) error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), op, uintptr(unsafe.Pointer(req))); errno != 0 {
			return errno
		}
		return nil
	}
	if err := ioctl(unix.SIOCGIFFLAGS); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() &^ unix.IFF_UP)
	if up {
		req.SetUint16(req.Uint16() | unix.IFF_UP)
	}
	return ioctl(unix.SIOCSIFFLAGS)
}
