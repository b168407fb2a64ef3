package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

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
		g := add(t, n, "g", Port{"", 8082, 82, "tcp"})
		greet(t, g.NetNS, "10.88.0.3:82")
		c, err := DialIn(t.Context(), ThisNetNS, "tcp", at("127.0.0.1", 8082))
		check.NoError(t, "a server that ends first", err)
		c.SetDeadline(time.Now().Add(2 * time.Second))
		said, err := io.ReadAll(c)
		c.Close()
		check.NoError(t, "a server that ends first", err, check.Often(true, "the server's end is not passed on"))
		check.Equal(t, "a server that ends first", "hello 10.88.0.3", string(said))
		_, err = n.Add(t.Context(), Pod{ID: "b", Name: "default/b", NetNS: pod(t), Ports: []Port{{"", 8080, 80, "tcp"}}})
		check.ErrorHas(t, "the same port for another", err, []string{"pod default/a"})
		_, err = n.Add(t.Context(), Pod{ID: "c", Name: "default/c", NetNS: pod(t), Ports: []Port{{"", 9, 80, "sctp"}}})
		check.ErrorHas(t, "sctp", err, []string{"sctp"})
		check.NoError(t, "Remove", n.Remove(t.Context(), "a"))
		deaf(t, "the port of a pod that is gone", "", "tcp", at("127.0.0.1", 8080))
	})
}

// Where nft is missing, or cannot write what it is told, the node works all the same.
func TestNode_NFTThatFails(t *testing.T) {
	sandbox.Need(t)
	nothingLeft(t)
	for _, script := range []string{"", "#!/bin/sh\necho 'nftables v1.0.6'; case \"$*\" in *--check*|*--version*) exit 0;; esac; echo no such hook >&2; exit 1\n"} {
		bin := t.TempDir()
		if script != "" {
			check.NoError(t, "a false nft", os.WriteFile(bin+"/nft", []byte(script), 0o755))
		}
		path := os.Getenv("PATH")
		t.Setenv("PATH", bin)
		n, err := Open(t.Context(), Config{Name: "test", Ranges: twoFamilies})
		os.Setenv("PATH", path)
		check.NoError(t, "Open", err)
		check.ErrorHas(t, "Egress", n.Egress(), []string{"no egress", "nft"})
		check.True(t, "why", script == "" || strings.Contains(n.Egress().Error(), "no such hook"), check.Error(n.Egress()), "what nft said")
		a := add(t, n, "a", Port{"", 8080, 80, "tcp"})
		_, err = ask("", "tcp", at("127.0.0.1", 8080), "ping") // accepted, and nobody is behind it
		check.True(t, "the port", !errors.Is(err, syscall.ECONNREFUSED), check.Error(err), "a relay")
		check.NoError(t, "Remove", n.Remove(t.Context(), a.ID))
		check.NoError(t, "Destroy", n.Destroy(t.Context()))
	}
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

// The node here is the machine; the agent's thread is in a namespace, and borrows its
// ports.
func TestLend(t *testing.T) {
	sandbox.Need(t)
	agent, ns := pod(t), pod(t)
	outside, inside, err := LendPair()
	check.NoError(t, "LendPair", err)
	ended := make(chan error, 1)
	go func() { ended <- Lend(outside) }()
	listen, done, err := Borrow(inside)
	check.NoError(t, "Borrow", err)
	for _, proto := range []string{"tcp", "udp"} {
		echo(t, ns, proto, at("127.0.0.1", 80))
		var r *Relay
		check.NoError(t, "StartRelay", in(agent, func() (err error) {
			r, err = StartRelay(mapping("pod a", proto, "127.0.0.1:8080", "127.0.0.1:80"), ns, listen)
			return err
		}))
		hears(t, "a borrowed port, "+proto, "", proto, at("127.0.0.1", 8080), "127.0.0.1")
		check.NoError(t, "Close", r.Close())
		deaf(t, "after Close, "+proto, "", proto, at("127.0.0.1", 8080))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.NoError(t, "listen", err)
	defer l.Close()
	_, err = StartRelay(mapping("pod a", "tcp", l.Addr().String(), "127.0.0.1:80"), ns, listen)
	check.ErrorIs(t, "a port of the machine that is taken", err, ErrTaken)
	check.ErrorHas(t, "a port of the machine that is taken", err, []string{l.Addr().String(), "process"})
	_, err = listen("unix", at("127.0.0.1", 1))
	check.ErrorHas(t, "a socket of another kind", err, []string{"unix"})
	check.True(t, "a socket of another kind", !errors.Is(err, ErrTaken), check.Error(err), "an error that is not ErrTaken")
	check.NoError(t, "done", done())
	_, err = check.Within(t, "Lend when the other end is closed", "its end", func() (error, error) { return nil, <-ended })
	check.NoError(t, "Lend", err)
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
