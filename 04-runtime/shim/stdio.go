package shim

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	namespaces "coracle/01-namespaces"
	"coracle/04-runtime/crilog"
)

// stdio is what the container's process is connected to, and who listens.
//
//	process ── pipe ──▶ copy ──┬──▶ crilog
//	                           └──▶ a queue for each who attached ──▶ his descriptor
type stdio struct {
	log      *crilog.Log
	once     bool
	child    [3]*os.File // the process's ends, until begin
	console  *os.File    // for the terminal's master, until begin
	receive  *os.File    // the other end of console
	terminal *os.File    // the master; nil without one
	in       *os.File    // where its input goes; nil: it has none
	streams  []*stream
	copying  sync.WaitGroup
	done     chan struct{} // closed when all output has been read
}

// newStdio makes pipes, or a way for a terminal to come.
func newStdio(c Config) (s *stdio, err error) {
	s = &stdio{once: c.StdinOnce, done: make(chan struct{})}
	if s.log, err = crilog.Open(cmp.Or(c.Log, os.DevNull), crilog.Options{MaxBytes: c.MaxBytes, Keep: c.Keep}); err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s.child = [3]*os.File{null, null, null}
	if c.Terminal {
		s.receive, s.console, err = namespaces.NewConsole()
		return s, err
	}
	if c.Stdin {
		if s.child[0], s.in, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	for i, name := range []string{"stdout", "stderr"} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		s.child[1+i] = w
		s.streams = append(s.streams, &stream{from: r, log: s.log.Stream(name)})
	}
	return s, nil
}

// begin comes once the process has its ends.
func (s *stdio) begin() error {
	for _, f := range s.child {
		f.Close() // ours would keep the pipe open; the null device is closed twice, which is no harm
	}
	if s.console != nil {
		s.console.Close()
		master, err := namespaces.ReceiveConsole(s.receive)
		s.receive.Close()
		if err != nil {
			return err
		}
		s.terminal, s.in = master, master
		s.streams = []*stream{{from: master, log: s.log.Stream("stdout")}}
	}
	for _, st := range s.streams {
		s.copying.Go(st.copy)
	}
	go func() {
		s.copying.Wait()
		close(s.done)
	}()
	return nil
}

// finish waits until all output has been read, and gives up on what comes later.
func (s *stdio) finish(wait time.Duration) {
	late := time.AfterFunc(wait, func() {
		for _, st := range s.streams {
			st.from.SetReadDeadline(time.Unix(1, 0))
		}
	})
	<-s.done
	late.Stop()
	if err := s.log.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (s *stdio) resize(width, height uint16) error {
	if s.terminal == nil {
		return errors.New("resize: the container has no terminal")
	}
	return unix.IoctlSetWinsize(int(s.terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
}

// attach connects somebody's stdin, stdout and stderr until he is gone or there is
// nothing more to come.
func (s *stdio) attach(files []*os.File, gone <-chan struct{}) {
	for i, f := range files {
		files[i] = pollable(f)
	}
	var outputs []*sink
	for i, st := range s.streams {
		outputs = append(outputs, st.add(files[1+i]))
	}
	if s.in != nil {
		go func() {
			_, err := io.Copy(s.in, files[0])
			// His input has ended; if he is only gone, another may come with more.
			if err == nil && s.once && s.terminal == nil {
				s.in.Close()
			}
		}()
	}
	select {
	case <-gone:
	case <-s.done:
	}
	for _, o := range outputs {
		o.end() // after what waits in it, if he still reads
	}
	for _, f := range files {
		f.Close()
	}
}

// pollable makes a descriptor that came over a socket one whose reads end with Close.
func pollable(f *os.File) *os.File {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	if err != nil {
		return f
	}
	unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), f.Name())
}

// A stream is one of the container's outputs.
type stream struct {
	from *os.File
	log  *crilog.Stream

	mu    sync.Mutex
	sinks map[*sink]bool
	ended bool
}

// copy reads until there is no writer left. From a terminal that is EIO.
func (st *stream) copy() {
	b := make([]byte, crilog.MaxText)
	for {
		n, err := st.from.Read(b)
		if n > 0 {
			st.log.Write(b[:n])
			st.tell(b[:n])
		}
		if err != nil {
			break
		}
	}
	st.log.Close()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ended = true
	for o := range st.sinks {
		close(o.queue)
	}
	clear(st.sinks)
}

// tell gives output to all who listen, and drops who is too slow.
func (st *stream) tell(b []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for o := range st.sinks {
		select {
		case o.queue <- append([]byte(nil), b...):
		default:
			delete(st.sinks, o)
			close(o.queue)
			o.to.Close()
		}
	}
}

func (st *stream) add(to *os.File) *sink {
	st.mu.Lock()
	defer st.mu.Unlock()
	o := &sink{of: st, to: to, queue: make(chan []byte, 64), done: make(chan struct{})}
	if st.ended {
		close(o.queue)
	} else {
		if st.sinks == nil {
			st.sinks = map[*sink]bool{}
		}
		st.sinks[o] = true
	}
	go o.run()
	return o
}

// A sink writes to somebody who attached, and makes nobody wait for him.
type sink struct {
	of    *stream
	to    *os.File
	queue chan []byte
	done  chan struct{}
}

func (o *sink) run() {
	defer close(o.done)
	for b := range o.queue {
		if _, err := o.to.Write(b); err != nil {
			o.to.Close()
			for range o.queue { // until tell drops it or it ends
			}
			return
		}
	}
}

// end takes it from its stream and waits for what is queued, but not for ever.
func (o *sink) end() {
	o.of.mu.Lock()
	if o.of.sinks[o] {
		delete(o.of.sinks, o)
		close(o.queue)
	}
	o.of.mu.Unlock()
	o.to.SetWriteDeadline(time.Now().Add(time.Second))
	<-o.done
}
