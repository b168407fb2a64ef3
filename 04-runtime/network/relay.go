package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// udpIdle is how long a client of UDP may be silent and still be answered from the
// port that it spoke to (nf_conntrack_udp_timeout_stream is 120 s).
const udpIdle = 2 * time.Minute

// A Relay is a published port without nft: a program that listens in one network
// namespace and connects inside of the pod's. The pod sees its own address as
// the client's. Between two TCP sockets Go copies with splice(2), within the kernel.
type Relay struct {
	netns  string
	to     netip.AddrPort
	listen net.Listener   // of TCP
	packet net.PacketConn // or of UDP

	mu     sync.Mutex
	open   map[io.Closer]bool // nil once it is closed
	groups sync.WaitGroup
}

// StartRelay listens where m says, with listen, and connects to the pod in netns; a
// listen of nil is in the caller's namespace. Errors: ErrTaken.
func StartRelay(m Mapping, netns string, listen Listen) (*Relay, error) {
	if m.Protocol != "tcp" && m.Protocol != "udp" {
		return nil, fmt.Errorf("host port %v/%s: only tcp and udp can be relayed", m.Host, m.Protocol)
	}
	if listen == nil {
		listen = listenHere
	}
	r := &Relay{netns: netns, to: m.Pod, open: map[io.Closer]bool{}}
	// "tcp4" or "tcp6": [::] is IPv6's alone then.
	socket, err := listen(m.Protocol+digit(m.Host.Addr()), m.Host)
	if err != nil {
		return nil, fmt.Errorf("relay of host port %v/%s: %w", m.Host, m.Protocol, err)
	}
	defer socket.Close()
	if m.Protocol == "tcp" {
		if r.listen, err = net.FileListener(socket); err == nil {
			r.groups.Go(r.accept)
		}
	} else if r.packet, err = net.FilePacketConn(socket); err == nil {
		r.groups.Go(r.receive)
	}
	if err != nil {
		return nil, fmt.Errorf("relay of host port %v/%s: %w", m.Host, m.Protocol, err)
	}
	return r, nil
}

// Close ends it and its connections, and waits for them.
func (r *Relay) Close() error {
	if r.listen != nil {
		r.listen.Close()
	} else {
		r.packet.Close()
	}
	r.mu.Lock()
	for c := range r.open {
		c.Close()
	}
	r.open = nil
	r.mu.Unlock()
	r.groups.Wait()
	return nil
}

// keep makes Close close c too; false if it came first.
func (r *Relay) keep(c io.Closer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		c.Close()
		return false
	}
	r.open[c] = true
	return true
}

func (r *Relay) drop(c io.Closer) {
	c.Close()
	r.mu.Lock()
	delete(r.open, c)
	r.mu.Unlock()
}

func (r *Relay) accept() {
	for {
		c, err := r.listen.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors: some will be closed
			continue
		}
		if r.keep(c) {
			r.groups.Go(func() {
				defer r.drop(c)
				r.carry(c.(*net.TCPConn))
			})
		}
	}
}

// carry copies both ways. Each end may finish speaking before the other.
func (r *Relay) carry(client *net.TCPConn) {
	c, err := DialIn(context.Background(), r.netns, "tcp", r.to)
	if err != nil {
		client.SetLinger(0) // refused, as the pod's own port would have
		return
	}
	server := c.(*net.TCPConn)
	if !r.keep(server) {
		return
	}
	defer r.drop(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(server, client)
		server.CloseWrite()
	}()
	io.Copy(client, server)
	client.CloseWrite()
	<-done
}

// receive gives each client a socket of its own in the pod's namespace: answers that
// come to it are the client's.
func (r *Relay) receive() {
	clients := map[string]net.Conn{}
	var mu sync.Mutex
	buf := make([]byte, 65536)
	for {
		n, from, err := r.packet.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		mu.Lock()
		pod := clients[from.String()]
		mu.Unlock()
		if pod == nil {
			if pod, err = DialIn(context.Background(), r.netns, "udp", r.to); err != nil || !r.keep(pod) {
				continue
			}
			mu.Lock()
			clients[from.String()] = pod
			mu.Unlock()
			r.groups.Go(func() {
				r.answer(pod, from)
				mu.Lock()
				delete(clients, from.String())
				mu.Unlock()
				r.drop(pod)
			})
		}
		pod.SetReadDeadline(time.Now().Add(udpIdle))
		pod.Write(buf[:n])
	}
}

// answer copies what comes from the pod to one client, until both are silent.
func (r *Relay) answer(pod net.Conn, client net.Addr) {
	buf := make([]byte, 65536)
	for {
		n, err := pod.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // nobody listens yet
		} else if err != nil {
			return
		}
		pod.SetReadDeadline(time.Now().Add(udpIdle))
		if _, err := r.packet.WriteTo(buf[:n], client); errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

// DialIn connects from inside of a network namespace. It is also what a port forward
// and a probe that must not depend on routes are made of.
func DialIn(ctx context.Context, netns, network string, to netip.AddrPort) (c net.Conn, err error) {
	err = InNetNS(netns, func() error {
		// A literal address: nothing to resolve, one attempt, on this thread.
		c, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}
