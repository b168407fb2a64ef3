package ours

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	chapter1 "coracle/01-namespaces"
	"coracle/04-runtime/driver"
	"coracle/04-runtime/network"
)

// signalOf reads "SIGTERM", "TERM", "15" or "": SIGTERM.
func signalOf(name string) (unix.Signal, error) {
	if name == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	upper := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	var real int
	if n, _ := fmt.Sscanf(upper, "SIGRTMIN+%d", &real); n == 1 && real >= 0 && real <= 30 {
		return unix.Signal(34 + real), nil
	}
	if s := unix.SignalNum(upper); s != 0 {
		return s, nil
	}
	return 0, fmt.Errorf("there is no signal %q", name)
}

// A plumbing turns a caller's streams into descriptors for a shim.
//
//	Stdin  ── copy ──▶ pipe ──▶ process
//	Stdout ◀─ copy ─── pipe ◀── process
type plumbing struct {
	theirs  [3]*os.File
	stdin   *os.File   // our end; nil: there is none
	outputs []*os.File // likewise
	copying sync.WaitGroup
}

func plumb(s driver.Streams) (p *plumbing, err error) {
	p = &plumbing{}
	defer func() {
		if err != nil {
			p.lent()
			p.close()
		}
	}()
	if s.Stdin != nil {
		if p.theirs[0], p.stdin, err = os.Pipe(); err != nil {
			return p, err
		}
		// Not waited for: a reader may block for ever, and nobody can make it stop.
		go func() {
			io.Copy(p.stdin, s.Stdin)
			p.stdin.Close()
		}()
	}
	for i, w := range []io.Writer{s.Stdout, s.Stderr} {
		if w == nil {
			continue
		}
		r, theirs, err := os.Pipe()
		if err != nil {
			return p, err
		}
		p.theirs[1+i] = theirs
		p.outputs = append(p.outputs, r)
		p.copying.Go(func() {
			io.Copy(w, r)
			r.Close() // a writer that fails: who writes gets EPIPE
		})
	}
	for i, f := range p.theirs {
		if f == nil {
			if p.theirs[i], err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// lent closes what the shim has by now.
func (p *plumbing) lent() {
	for _, f := range p.theirs {
		f.Close()
	}
}

// drainTime is how long output may come after a process has ended, from those that it
// left behind.
const drainTime = time.Second

// close waits for the output that is on its way.
func (p *plumbing) close() {
	p.stdin.Close()
	for _, r := range p.outputs {
		r.SetReadDeadline(time.Now().Add(drainTime))
	}
	p.copying.Wait()
}

// Exec runs a further process.
func (d *Driver) Exec(ctx context.Context, id string, e driver.ExecConfig) (int, error) {
	if err := d.read("containers", id, &container{}); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(d.path("containers", id, "config.json"))
	if err != nil {
		return 0, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(b, &spec); err != nil {
		return 0, err
	}
	p := spec.Process
	p.Args, p.Terminal = e.Command, e.TTY
	if e.TTY {
		return d.execTerminal(ctx, id, p, e.Streams)
	}
	pipes, err := plumb(e.Streams)
	if err != nil {
		return 0, err
	}
	code, err := d.client(id).Exec(ctx, p, pipes.theirs, nil, pipes.lent)
	pipes.lent() // also where it never began
	pipes.close()
	if err != nil {
		return 0, explain(id, err)
	}
	return code, nil
}

// execTerminal runs a process on a terminal whose master is ours: nothing of it passes
// the shim.
func (d *Driver) execTerminal(ctx context.Context, id string, p *specs.Process, s driver.Streams) (int, error) {
	parent, console, err := chapter1.NewConsole()
	if err != nil {
		return 0, err
	}
	defer parent.Close()
	defer console.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var copying sync.WaitGroup
	var master *os.File
	code, err := d.client(id).Exec(ctx, p, [3]*os.File{null, null, null}, console, func() {
		console.Close()
		if master, err = chapter1.ReceiveConsole(parent); err != nil {
			return
		}
		if s.Stdin != nil {
			go io.Copy(master, s.Stdin)
		}
		out := s.Stdout
		if out == nil {
			out = io.Discard
		}
		copying.Go(func() { io.Copy(out, master) }) // until EIO: nobody has the other side
		go resize(ctx, s.Resize, func(size driver.Size) {
			unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: size.Width, Row: size.Height})
		})
	})
	if master != nil {
		master.SetReadDeadline(time.Now().Add(drainTime))
		copying.Wait()
		master.Close()
	}
	if err != nil {
		return 0, explain(id, err)
	}
	return code, nil
}

// resize passes sizes on until there are no more.
func resize(ctx context.Context, sizes <-chan driver.Size, f func(driver.Size)) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			f(size)
		}
	}
}

// Attach joins the streams of the container's own process.
func (d *Driver) Attach(ctx context.Context, id string, s driver.Streams) error {
	if err := d.read("containers", id, &container{}); err != nil {
		return err
	}
	pipes, err := plumb(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := d.client(id)
	if s.Resize != nil {
		go resize(ctx, s.Resize, func(size driver.Size) { c.Resize(ctx, size.Width, size.Height) })
	}
	err = c.Attach(ctx, pipes.theirs, pipes.lent)
	pipes.lent()
	pipes.close()
	if err != nil {
		return explain(id, err)
	}
	return nil
}

// PortForward connects a stream with a port of a sandbox.
func (d *Driver) PortForward(ctx context.Context, sandboxID string, port int, stream io.ReadWriteCloser) error {
	var s sandbox
	if err := d.read("sandboxes", sandboxID, &s); err != nil {
		return err
	}
	if !s.Ready {
		return fmt.Errorf("sandbox %s: %w", sandboxID, driver.ErrNotRunning)
	}
	ns := network.ThisNetNS
	if !s.Config.HostNetwork {
		ns = d.namespace(sandboxID, "net")
	}
	var conn net.Conn
	var errs []error
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := network.DialIn(ctx, ns, "tcp", netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port)))
		if err == nil {
			conn = c
			break
		}
		errs = append(errs, err)
	}
	if conn == nil {
		return fmt.Errorf("forward to port %d of sandbox %s: %w", port, sandboxID, errors.Join(errs...))
	}
	defer context.AfterFunc(ctx, func() { conn.Close(); stream.Close() })()
	in := make(chan error, 1)
	go func() { // ends with stream, which its owner closes
		_, err := io.Copy(conn, stream)
		conn.(*net.TCPConn).CloseWrite()
		in <- err
	}()
	_, err := io.Copy(stream, conn)
	stream.Close()
	conn.Close()
	<-in
	return err
}
