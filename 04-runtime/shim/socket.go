package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The sockets are made by hand: package net would be half of a shim's memory.

// A conn is one end of a connection. Each message is a line of JSON; descriptors come
// along with a request's first byte (unix(7), SCM_RIGHTS).
type conn struct {
	file *os.File
	raw  syscall.RawConn
	in   *json.Decoder
}

func newConn(fd int) (*conn, error) {
	unix.SetNonblock(fd, true) // so that the runtime's poller waits, and close ends a read
	f := os.NewFile(uintptr(fd), "shim.sock")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &conn{f, raw, json.NewDecoder(f)}, nil
}

func (c *conn) close() { c.file.Close() }

// send sends a value, and files with it.
func (c *conn) send(v any, files ...*os.File) error {
	b := marshal(v)
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	for len(b) > 0 {
		var n int
		var sendErr error
		err := c.raw.Write(func(fd uintptr) bool {
			var rights []byte
			if len(fds) > 0 {
				rights = unix.UnixRights(fds...)
			}
			n, sendErr = unix.SendmsgN(int(fd), b, rights, nil, unix.MSG_NOSIGNAL)
			return !errors.Is(sendErr, unix.EAGAIN)
		})
		if err = errors.Join(err, sendErr); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		} else if err == nil {
			b, fds = b[n:], nil
		}
	}
	return nil
}

// maxRequest is more than the environment of any process that execve(2) takes … of a
// sensible one.
const maxRequest = 1 << 20

// request reads a request and the files that came with it.
func (c *conn) request(v any) (files []*os.File, err error) {
	var all []byte
	for len(all) == 0 || all[len(all)-1] != '\n' {
		b, oob := make([]byte, 4<<10), make([]byte, unix.CmsgSpace(4*8))
		var n, oobn int
		var recvErr error
		err := c.raw.Read(func(fd uintptr) bool {
			n, oobn, _, _, recvErr = unix.Recvmsg(int(fd), b, oob, unix.MSG_CMSG_CLOEXEC)
			return !errors.Is(recvErr, unix.EAGAIN)
		})
		if errors.Is(recvErr, unix.EINTR) {
			continue
		}
		files = append(files, filesOf(oob[:max(oobn, 0)])...)
		switch err = errors.Join(err, recvErr); {
		case err == nil && n == 0:
			err = io.ErrUnexpectedEOF
		case len(all) > maxRequest:
			err = errors.New("request too large")
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		all = append(all, b[:n]...)
	}
	if err := json.Unmarshal(all, v); err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func filesOf(oob []byte) (files []*os.File) {
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for i := range msgs {
		fds, _ := unix.ParseUnixRights(&msgs[i])
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed "+strconv.Itoa(fd)))
		}
	}
	return files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// gone returns a channel that is closed when the other side has closed its end: after
// its request a client says nothing more.
func (c *conn) gone() <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		io.Copy(io.Discard, c.file)
	}()
	return ch
}

// dial connects to the shim of a folder.
func dial(dir string) (*conn, error) {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(at)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", at, socketFile)}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to the shim of %s: %w", dir, err)
	}
	return newConn(fd)
}

// A listener takes connections.
type listener struct{ *conn }

func listen(path string) (*listener, error) {
	os.Remove(path) // of a shim that was killed; that there is none now the folder's lock says
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	c, err := newConn(fd)
	return &listener{c}, err
}

// serve calls f for each connection until the listener is closed.
func (l *listener) serve(all *sync.WaitGroup, f func(*conn)) {
	for {
		var fd int
		var acceptErr error
		err := l.raw.Read(func(s uintptr) bool {
			fd, _, acceptErr = unix.Accept4(int(s), unix.SOCK_CLOEXEC)
			return !errors.Is(acceptErr, unix.EAGAIN)
		})
		if err != nil {
			return
		}
		if acceptErr != nil {
			continue // ECONNABORTED, EINTR, EMFILE: the next one may do better
		}
		if c, err := newConn(fd); err == nil {
			all.Go(func() {
				defer c.close()
				f(c)
			})
		}
	}
}
