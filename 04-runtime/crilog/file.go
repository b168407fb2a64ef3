package crilog

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

// Options say when a log begins a new file by itself.
type Options struct {
	MaxBytes int64 // of a file; 0: never, whoever renames the file calls Reopen
	Keep     int   // how many older files stay
	Now      func() time.Time
}

// A Log is the file that a container's output goes to. Several goroutines may use it.
type Log struct {
	path    string
	options Options
	now     func() time.Time

	mu   sync.Mutex
	file *os.File
	size int64 // of file, all of it whole entries
	lost int   // entries since the last that was written
	why  error
}

// Rotated is the path of the n-th older file; 0 is the newest.
func Rotated(path string, n int) string {
	if n == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, n)
}

// Open opens a log, and goes on with one that is there.
func Open(path string, o Options) (*Log, error) {
	l := &Log{path: path, options: o, now: o.Now}
	if l.now == nil {
		l.now = time.Now
	}
	return l, l.open()
}

// open replaces the file by what is at path now.
func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("log: %w", err)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size = f, fi.Size()
	return nil
}

// Reopen opens the path anew, after somebody has renamed the file.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open()
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// write adds whole entries.
func (l *Log) write(b []byte, entries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.options.MaxBytes > 0 && l.size > 0 && l.size+int64(len(b)) > l.options.MaxBytes {
		l.rotate() // if it fails the old file grows: that is better than to lose what comes
	}
	if l.lost > 0 {
		note := fmt.Appendf(nil, "log: %d entries are lost: %v", l.lost, l.why)
		line := Entry{Time: l.now(), Stream: "stderr", Text: note}.Append(nil)
		if n, _ := l.put(line); n == 0 {
			l.lost += entries
			return
		}
		l.lost = 0
	}
	if n, err := l.put(b); err != nil {
		l.lost, l.why = l.lost+entries-n, err
	}
}

// put writes b, or as many whole entries of it as there is room for, and returns how
// many: half a line would spoil the next.
func (l *Log) put(b []byte) (entries int, err error) {
	n, err := l.file.Write(b)
	if err != nil {
		n = bytes.LastIndexByte(b[:n], '\n') + 1
		l.file.Truncate(l.size + int64(n))
	}
	l.size += int64(n)
	return bytes.Count(b[:n], []byte("\n")), err
}

// Stream returns the writer for "stdout" or "stderr". One goroutine may use it.
func (l *Log) Stream(name string) *Stream { return &Stream{log: l, name: name} }

// A Stream makes entries of what a container prints on one of its streams.
type Stream struct {
	log  *Log
	name string
	held []byte // of a line whose end has not come; at most MaxText bytes

	out     []byte // entries for the file's next write(2)
	entries int
}

// add makes an entry of what is held and text.
func (s *Stream) add(now time.Time, text []byte, partial bool) {
	if len(s.held) > 0 {
		s.held = append(s.held, text...)
		text = s.held
	}
	s.out = Entry{now, s.name, partial, text}.Append(s.out)
	s.entries++
	s.held = s.held[:0]
	if len(s.out) >= 32<<10 { // short lines are mostly head: memory must not follow
		s.flush()
	}
}

// flush writes the entries. Buffers that one long line made grow are given back.
func (s *Stream) flush() {
	if s.entries > 0 {
		s.log.write(s.out, s.entries)
	}
	s.out, s.entries = s.out[:0], 0
	if len(s.held) == 0 {
		s.held = nil
	}
}
