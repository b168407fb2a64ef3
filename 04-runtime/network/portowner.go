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
)

// listening says which program of this network namespace already listens where m would
// lead away from it, and returns ErrTaken with its name. A port that a pod takes over
// would be a program that nobody reaches any more, without a word.
func listening(m Mapping) error {
	if m.Protocol == "sctp" {
		return nil // the kernel lists those elsewhere, with CAP_NET_ADMIN of the machine
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
