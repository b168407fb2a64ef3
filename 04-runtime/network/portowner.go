package network

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listening says which program of this network namespace already listens where m would
// lead away from it, and returns ErrTaken with its name. A port that a pod takes over
// would be a program that nobody reaches any more, without a word.
func listening(m Mapping) error {
	if m.Protocol == "sctp" {
		return nil // the kernel lists those elsewhere, with CAP_NET_ADMIN of the machine
	}
	if bindable(m) {
		return nil
	}
	for _, table := range []string{m.Protocol, m.Protocol + "6"} {
		f, err := os.Open("/proc/thread-self/net/" + table)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			// sl, local address, remote address, state, …, inode (proc_net_tcp.rst)
			col := strings.Fields(s.Text())
			if len(col) < 10 || col[3] != "0A" && m.Protocol == "tcp" {
				continue
			}
			if a, err := kernelAddr(col[1]); err == nil && overlaps(m.Host, a) {
				return fmt.Errorf("host port %v/%s: %w by %s", m.Host, m.Protocol, ErrTaken, socketOwner(col[9]))
			}
		}
	}
	return nil
}

// bindable is a quick answer: who can take the port has it alone. A no may be due to a
// connection that ended a minute ago, or to an address that is not the node's (yet).
func bindable(m Mapping) bool {
	kind := unix.SOCK_STREAM
	if m.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(family(m.Host.Addr()), kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if a := m.Host.Addr(); a.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(m.Host.Port()), Addr: a.As4()}) == nil
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	return unix.Bind(fd, &unix.SockaddrInet6{Port: int(m.Host.Port()), Addr: m.Host.Addr().As16()}) == nil
}

// overlaps says whether a socket bound to a gets what is sent to host. [::] is
// IPv4's as well, unless its program asked otherwise, which is not to be seen.
func overlaps(host, a netip.AddrPort) bool {
	if host.Port() != a.Port() {
		return false
	}
	h, b := host.Addr(), a.Addr().Unmap()
	return h == b || b == netip.IPv6Unspecified() || h.Is4() == b.Is4() && (h.IsUnspecified() || b.IsUnspecified())
}

// kernelAddr reads "0100007F:1F90": words of four bytes, each in this machine's order,
// and a port.
func kernelAddr(s string) (netip.AddrPort, error) {
	text, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	if littleEndian {
		for word := range slices.Chunk(b, 4) {
			slices.Reverse(word)
		}
	}
	a, ok := netip.AddrFromSlice(b)
	p, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

// socketOwner finds the process that has a socket open: "sshd (process 812)".
func socketOwner(inode string) string {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
			pid := strings.Split(fd, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return "a program of another user"
}
