package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime"}))
}

// pod makes a network namespace that goes with the test.
func pod(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net")
	check.NoError(t, "NewNetNS", NewNetNS(path))
	t.Cleanup(func() { check.NoError(t, "RemoveNetNS", RemoveNetNS(path)) })
	return path
}

// nothingLeft fails the test if links, routes, rules or tables differ after it.
func nothingLeft(t testing.TB) {
	t.Helper()
	before := kernelState(t)
	t.Cleanup(func() {
		check.Equal(t, "links, addresses, routes, neighbours and tables after the test", before, kernelState(t))
	})
}

func kernelState(t testing.TB) string {
	t.Helper()
	var all string
	for _, c := range []string{"ip -o link", "ip -o addr show dev lo", "ip route show table all",
		"ip -6 route show table all", "ip neigh show nud permanent", "nft list ruleset"} {
		cmd := exec.Command("sh", "-c", c)
		out, err := cmd.CombinedOutput()
		check.NoError(t, c+": "+string(out), err)
		for line := range strings.Lines(string(out)) {
			// Not what the kernel adds by itself, some time after a link is up.
			if !strings.Contains(c, "-6") || !strings.Contains(line, "proto kernel") {
				all += line
			}
		}
	}
	return all
}

// in runs f in the namespace, or on the node where netns is "".
func in(netns string, f func() error) error {
	if netns == "" {
		return f()
	}
	return InNetNS(netns, f)
}

// echo answers on addr in the namespace, each with who asked: "from 10.88.0.2 ping".
func echo(t testing.TB, netns, network string, addr netip.AddrPort) {
	t.Helper()
	if network == "udp" {
		var conn net.PacketConn
		check.NoError(t, "listen", in(netns, func() (err error) {
			conn, err = net.ListenPacket(network, addr.String())
			return err
		}))
		t.Cleanup(func() { conn.Close() })
		go func() {
			buf := make([]byte, 65536)
			for {
				n, from, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				conn.WriteTo(fmt.Appendf(nil, "from %v %s", from.(*net.UDPAddr).AddrPort().Addr().Unmap(), buf[:n]), from)
			}
		}()
		return
	}
	var l net.Listener
	check.NoError(t, "listen", in(netns, func() (err error) {
		l, err = net.Listen(network, addr.String())
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(check.Deadline))
				said, _ := io.ReadAll(c)
				fmt.Fprintf(c, "from %v %s", c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), said)
			}()
		}
	}()
}

// ask sends text from the namespace and returns the answer.
func ask(netns, network string, to netip.AddrPort, text string) (string, error) {
	return askFor(2*time.Second, netns, network, to, text)
}

func askFor(patience time.Duration, netns, network string, to netip.AddrPort, text string) (answer string, err error) {
	err = in(netns, func() error {
		// On this thread: a Dialer with a name to resolve, or two families, starts others.
		c, err := net.DialTimeout(network, to.String(), patience)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		if t, ok := c.(*net.TCPConn); ok {
			t.CloseWrite()
			b, err := io.ReadAll(c)
			answer = string(b)
			return err
		}
		buf := make([]byte, 65536)
		n, err := c.Read(buf)
		answer = string(buf[:n])
		return err
	})
	return answer, err
}

// hears checks that "ping" gets through and from which address it seems to come.
func hears(t testing.TB, did, netns, network string, to netip.AddrPort, from string, causes ...check.Cause) {
	t.Helper()
	got, err := ask(netns, network, to, "ping")
	check.NoError(t, did, err, causes...)
	check.Equal(t, did, "from "+from+" ping", got, causes...)
}

// deaf checks that nobody answers.
func deaf(t testing.TB, did, netns, network string, to netip.AddrPort) {
	t.Helper()
	_, err := askFor(500*time.Millisecond, netns, network, to, "ping")
	check.True(t, did, err != nil && !errors.Is(err, os.ErrNotExist), check.Error(err), "no answer")
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}
