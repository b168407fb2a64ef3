package remote

import (
	"io"
	"sync"
)

// A pipe is io.Pipe with a bounded buffer: whoever writes runs ahead of the reader
// by at most its size, and each end can leave.
//
//	download ──▶ blob (verified)
//	         └─▶ pipe ──▶ unpack
type pipe struct {
	mu       sync.Mutex
	changed  sync.Cond
	buf      []byte // a ring: size bytes of it, from start on
	start    int
	size     int
	written  bool  // the writer is done,
	writeErr error // with this; nil: io.EOF
	read     bool  // the reader is done,
	readErr  error // with this; nil: it has no need of the rest
}

func newPipe(size int) *pipe {
	p := &pipe{buf: make([]byte, size)}
	p.changed.L = &p.mu
	return p
}

// Write waits for room. Once the reader is done it drops everything, or returns
// the reader's error.
func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		for p.size == len(p.buf) && !p.read {
			p.changed.Wait()
		}
		if p.read {
			if p.readErr != nil {
				return n, p.readErr
			}
			return len(b), nil
		}
		end := (p.start + p.size) % len(p.buf)
		room := p.buf[end:min(len(p.buf), end+len(p.buf)-p.size)]
		k := copy(room, b[n:])
		n, p.size = n+k, p.size+k
		p.changed.Broadcast()
	}
	return n, nil
}

// Read waits for bytes, or for the writer's end.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.size == 0 && !p.written {
		p.changed.Wait()
	}
	if p.size == 0 {
		if p.writeErr != nil {
			return 0, p.writeErr
		}
		return 0, io.EOF
	}
	n := copy(b, p.buf[p.start:min(len(p.buf), p.start+p.size)])
	p.start, p.size = (p.start+n)%len(p.buf), p.size-n
	p.changed.Broadcast()
	return n, nil
}

// CloseWrite ends the stream: Read returns err after what is still there, io.EOF if it is nil.
func (p *pipe) CloseWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written, p.writeErr = true, err
	p.changed.Broadcast()
}

// CloseRead ends reading: Write returns err, or, if it is nil, takes the rest and drops it.
func (p *pipe) CloseRead(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read, p.readErr = true, err
	p.changed.Broadcast()
}
