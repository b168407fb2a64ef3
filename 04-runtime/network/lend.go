package network

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens a socket that listens, "tcp4" or "udp6", in some network namespace.
type Listen func(network string, addr netip.AddrPort) (*os.File, error)

// listenHere is the caller's own namespace.
func listenHere(network string, addr netip.AddrPort) (*os.File, error) {
	var c syscallFile
	var err error
	if strings.HasPrefix(network, "tcp") {
		var l net.Listener
		if l, err = net.Listen(network, addr.String()); err == nil {
			defer l.Close()
			c = l.(*net.TCPListener)
		}
	} else {
		var p net.PacketConn
		if p, err = net.ListenPacket(network, addr.String()); err == nil {
			defer p.Close()
			c = p.(*net.UDPConn)
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		err = cmp.Or(listening(Mapping{Protocol: network[:3], Host: addr}), fmt.Errorf("host port %v/%s: %w: %w", addr, network[:3], ErrTaken, err))
	}
	if err != nil {
		return nil, err
	}
	return c.File()
}

type syscallFile interface{ File() (*os.File, error) }

// An ordinary user's agent lives in namespaces of its own, and its ports with it. The
// process that started it is still outside, and opens them on the machine for it:
//
//	outside: Lend(conn)                   inside: Borrow(conn), for Config.Listen
//	        ◀───────────── "tcp4 0.0.0.0:8080" ─────────────
//	        ───── "ok" and the socket (unix(7), SCM_RIGHTS) ─▶    or "taken TEXT"
//	                                                              or "no TEXT"
//
// LendPair makes the two ends of conn: a file for each process.
func LendPair() (outside, inside *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "lend"), os.NewFile(uintptr(fds[1]), "borrow"), nil
}

func unixConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f) // a copy
	f.Close()
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s is no Unix socket", f.Name())
	}
	return u, nil
}

// A takenError is ErrTaken in the words of another process.
type takenError string

func (e takenError) Error() string        { return string(e) }
func (e takenError) Is(target error) bool { return target == ErrTaken }

// Lend opens what the other end asks for, until that is closed. f is Lend's from now on.
func Lend(f *os.File) error {
	conn, err := unixConn(f)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 256)
	for {
		n, err := conn.Read(buf)
		if n == 0 || errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer, rights := "ok", []byte(nil)
		s, err := lendOne(string(buf[:n]))
		if errors.Is(err, ErrTaken) {
			answer = "taken " + err.Error()
		} else if err != nil {
			answer = "no " + err.Error()
		} else {
			rights = unix.UnixRights(int(s.Fd()))
		}
		_, _, err = conn.WriteMsgUnix([]byte(answer), rights, nil)
		s.Close() // nil is fine
		if err != nil {
			return err
		}
	}
}

func lendOne(request string) (*os.File, error) {
	network, text, _ := strings.Cut(request, " ")
	addr, err := netip.ParseAddrPort(text)
	if err != nil || len(network) != 4 || !strings.Contains("tcp4 tcp6 udp4 udp6", network) {
		return nil, fmt.Errorf("cannot lend %q", request)
	}
	return listenHere(network, addr)
}

// Borrow asks the other end, until done is called. f is Borrow's from now on.
func Borrow(f *os.File) (listen Listen, done func() error, err error) {
	conn, err := unixConn(f)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	listen = func(network string, addr netip.AddrPort) (*os.File, error) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := fmt.Fprintf(conn, "%s %v", network, addr); err != nil {
			return nil, fmt.Errorf("ask for a socket on the machine: %w", err)
		}
		buf, rights := make([]byte, 1024), make([]byte, unix.CmsgSpace(4))
		n, rn, _, _, err := conn.ReadMsgUnix(buf, rights)
		if err != nil {
			return nil, fmt.Errorf("ask for a socket on the machine: %w", err)
		}
		switch word, why, _ := strings.Cut(string(buf[:n]), " "); word {
		case "taken":
			return nil, takenError("on the machine: " + why)
		case "no":
			return nil, errors.New("on the machine: " + why)
		}
		msgs, err := unix.ParseSocketControlMessage(rights[:rn])
		if err != nil || len(msgs) != 1 {
			return nil, errors.New("ask for a socket on the machine: none came")
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil || len(fds) != 1 {
			return nil, errors.New("ask for a socket on the machine: none came")
		}
		unix.CloseOnExec(fds[0])
		return os.NewFile(uintptr(fds[0]), addr.String()), nil
	}
	return listen, conn.Close, nil
}
