package crilog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openAll opens all files of a log that are newer than until, the oldest first. A
// rotation while it looks could mix up their order: then it looks again.
func openAll(path string, until *os.File) (files []*os.File, err error) {
	for tries := 0; ; tries++ {
		files, err = scan(path, until)
		if err != nil || len(files) == 0 || tries > 1000 {
			return files, err
		}
		newest, statErr := os.Stat(path)
		mine, err := files[len(files)-1].Stat()
		if statErr == nil && err == nil && os.SameFile(newest, mine) || errors.Is(statErr, fs.ErrNotExist) {
			return files, nil
		}
		closeAll(files)
	}
}

// scan goes from the newest file to the oldest, the way in which rotation moves them:
// one that is moved meanwhile is met twice, and none is missed.
func scan(path string, until *os.File) (files []*os.File, err error) {
	missing := 0
	for n := 0; missing < 4; n++ { // some may be missing: rotations are on their way, or one was broken off
		f, err := os.Open(Rotated(path, n))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		} else if err != nil {
			closeAll(files)
			return nil, err
		}
		missing = 0
		if until != nil && same(f, until) {
			f.Close()
			return files, nil
		}
		if len(files) > 0 && same(f, files[0]) {
			f.Close()
			continue
		}
		files = append([]*os.File{f}, files...)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// newer opens the files that came after files[0], the last one known: none while the
// path still is that file, or nothing.
func (r *reader) newer() ([]*os.File, error) {
	if len(r.files) > 0 {
		now, err := os.Stat(r.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // renamed: its writer goes on with it until it opens the path anew
		} else if err != nil {
			return nil, err
		}
		if mine, err := r.files[0].Stat(); err != nil || os.SameFile(now, mine) {
			return nil, err
		}
	}
	if len(r.files) == 0 {
		all, err := openAll(r.path, nil)
		return all, err
	}
	all, err := openAll(r.path, r.files[0]) // if it was removed, the oldest that there is comes next
	return all, err
}

// tail moves to where the last n lines begin: lines of the container, not of the file.
func (r *reader) tail(n int64) error {
	for i := len(r.files) - 1; i >= 0; i-- {
		starts, err := lineStarts(r.files[i])
		if err != nil {
			return err
		}
		if have := int64(len(starts)); have > n || have == n && n > 0 || n == 0 {
			closeAll(r.files[:i])
			r.files = r.files[i:]
			if r.at, err = r.files[0].Seek(0, io.SeekEnd); n > 0 {
				r.at = starts[have-n]
			} else if have > 0 {
				r.at, err = lastEnd(r.files[0], r.at)
			}
			return err
		}
		n -= int64(len(starts))
	}
	return nil
}

// lastEnd is where the last whole line before end ends.
func lastEnd(f *os.File, end int64) (int64, error) {
	b := make([]byte, 4*MaxText)
	from := max(0, end-int64(len(b)))
	n, err := f.ReadAt(b[:end-from], from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for n > 0 && b[n-1] != '\n' {
		n--
	}
	return from + int64(n), nil
}

// lineStarts returns where in a file the container's lines begin: an entry that goes on
// with a partial one begins none.
func lineStarts(f *os.File) (starts []int64, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	within := map[string]bool{}
	buf := bufio.NewReaderSize(f, 4*MaxText)
	for at := int64(0); ; {
		line, err := buf.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return starts, nil
		} else if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if e, err := Parse(line); err == nil {
			if !within[e.Stream] {
				starts = append(starts, at)
			}
			within[e.Stream] = e.Partial
		}
		at += int64(len(line))
	}
}

// A watch tells that something in a folder has changed (inotify(7)).
type watch struct {
	changed chan struct{} // has room for one: many changes are one reason to look
	file    *os.File
	done    chan struct{}
}

func newWatch(dir string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("follow a log: inotify_init1: %w", err)
	}
	w := &watch{make(chan struct{}, 1), os.NewFile(uintptr(fd), "inotify"), make(chan struct{})}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("follow a log in %s: inotify_add_watch: %w", dir, err)
	}
	go func() {
		defer close(w.done)
		b := make([]byte, 4<<10)
		for {
			if _, err := w.file.Read(b); err != nil {
				return // closed
			}
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}()
	return w, nil
}

func (w *watch) stop() {
	w.file.Close()
	<-w.done
}
