package network

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestNode_WithoutNFT(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("ports", func(t *testing.T) {
		sandbox.Need(t)
		n := openNode(t, Config{NoNFT: true})
		check.ErrorHas(t, "Egress", n.Egress(), []string{"nft"})
		a := add(t, n, "a", Port{"", 8080, 80, "tcp"}, Port{"127.0.0.1", 8080, 80, "udp"})
		echo(t, a.NetNS, "tcp", at("10.88.0.2", 80))
		echo(t, a.NetNS, "tcp", at("fd00:88::2", 80))
		echo(t, a.NetNS, "udp", at("10.88.0.2", 80))
		for _, network := range []string{"tcp", "udp"} {
			hears(t, "by 127.0.0.1, "+network, "", network, at("127.0.0.1", 8080), "10.88.0.2")
			hears(t, "once more", "", network, at("127.0.0.1", 8080), "10.88.0.2")
		}
		hears(t, "by ::1, which only a relay can", "", "tcp", at("::1", 8080), "fd00:88::2")
		hears(t, "hairpin", a.NetNS, "tcp", at("10.88.0.1", 8080), "10.88.0.2")
		big := strings.Repeat("x", 1_000_000)
		got, err := ask("", "tcp", at("127.0.0.1", 8080), big)
		check.NoError(t, "1 MB", err)
		check.Equal(t, "bytes that came back", len("from 10.88.0.2 ")+len(big), len(got))
		_, err = n.Add(t.Context(), Pod{ID: "b", Name: "default/b", NetNS: pod(t), Ports: []Port{{"", 8080, 80, "tcp"}}})
		check.ErrorHas(t, "the same port for another", err, []string{"pod default/a"})
		_, err = n.Add(t.Context(), Pod{ID: "c", Name: "default/c", NetNS: pod(t), Ports: []Port{{"", 9, 80, "sctp"}}})
		check.ErrorHas(t, "sctp", err, []string{"sctp"})
		check.NoError(t, "Remove", n.Remove(t.Context(), "a"))
		deaf(t, "the port of a pod that is gone", "", "tcp", at("127.0.0.1", 8080))
	})
}

func TestRelay_NobodyListens(t *testing.T) {
	sandbox.Need(t)
	n := openNode(t, Config{NoNFT: true})
	add(t, n, "a", Port{"", 8080, 80, "tcp"})
	_, err := check.Within(t, "a port behind which nobody listens", "an end", func() (int, error) {
		c, err := net.DialTimeout("tcp", "127.0.0.1:8080", check.Deadline)
		if err != nil {
			return 0, err // reset already
		}
		defer c.Close()
		return c.Read(make([]byte, 1))
	})
	check.True(t, "asking there", err != nil, "no error", "an end or a reset")
}

func TestKernelAddr(t *testing.T) {
	for text, want := range map[string]string{"0100007F:1F90": "127.0.0.1:8080", "00000000000000000000000001000000:0050": "[::1]:80"} {
		got, err := kernelAddr(text)
		check.NoError(t, text, err)
		if littleEndian {
			check.Equal(t, text, netip.MustParseAddrPort(want), got)
		}
	}
	for _, bad := range []string{"", "xyz:1", "01:02", "0100007F", "0100007F:12345"} {
		_, err := kernelAddr(bad)
		check.True(t, fmt.Sprintf("%q", bad), err != nil, "no error", "an error")
	}
}
