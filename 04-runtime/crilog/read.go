package crilog

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ReadOptions say what of a log is wanted.
type ReadOptions struct {
	Tail       int64     // the last so many lines; below 0: all
	Since      time.Time // entries from then on
	Limit      int64     // no more bytes than this; 0: no limit
	Timestamps bool      // each line begins with its time

	// Follow waits for more, until Done is closed and all has been read.
	Follow bool
	Done   <-chan struct{} // the container has ended; nil: only ctx ends it
}

// Read writes what the container printed to stdout and stderr, from the oldest file
// that there is on. A nil writer takes nothing. A line that is no entry is left out.
//
// Errors: no log at all is fs.ErrNotExist unless it follows; a writer's; ctx's while it
// follows.
func Read(ctx context.Context, path string, o ReadOptions, stdout, stderr io.Writer) error {
	r := &reader{path: path, ReadOptions: o, out: map[string]*output{"stdout": {w: stdout}, "stderr": {w: stderr}}}
	defer r.close()
	if o.Follow {
		// Before the first look: what changes after it is not missed.
		w, err := newWatch(filepath.Dir(path))
		if err != nil {
			return err
		}
		defer w.stop()
		r.changed = w.changed
	}
	files, err := openAll(path, nil)
	if err != nil || len(files) == 0 && !o.Follow {
		return errors.Join(err, noLog(path, files))
	}
	r.files = files
	if o.Tail >= 0 {
		if err := r.tail(o.Tail); err != nil {
			return err
		}
	}
	if err := r.run(ctx); !errors.Is(err, errLimit) {
		return err
	}
	return nil
}

func noLog(path string, files []*os.File) error {
	if len(files) > 0 {
		return nil
	}
	return &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
}

var errLimit = errors.New("as many bytes as were wanted")

// A reader goes through files, the oldest first; files[0] is the one that is read.
type reader struct {
	ReadOptions
	path    string
	files   []*os.File
	at      int64 // where in files[0] the next line begins
	buf     *bufio.Reader
	out     map[string]*output
	written int64

	changed <-chan struct{}
	ended   bool // Done was closed before the last look
}

type output struct {
	w      io.Writer
	within bool // the last entry was partial
}

func (r *reader) close() {
	for _, f := range r.files {
		f.Close()
	}
}

func (r *reader) run(ctx context.Context) error {
	for {
		if len(r.files) > 0 {
			if err := r.toEnd(); err != nil {
				return err
			}
		}
		if len(r.files) > 1 { // nobody writes to this one any more
			r.files[0].Close()
			r.files, r.at = r.files[1:], 0
			continue
		}
		if !r.Follow {
			return nil
		}
		newer, err := r.newer()
		if err != nil {
			return err
		}
		// What was written to files[0] between the last look and the rotation comes first.
		if r.files = append(r.files, newer...); len(newer) > 0 {
			continue
		}
		if r.ended {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.Done:
			r.ended = true
		case <-r.changed:
		}
	}
}

// toEnd shows what files[0] has, up to the last whole line.
func (r *reader) toEnd() error {
	if _, err := r.files[0].Seek(r.at, io.SeekStart); err != nil {
		return err
	}
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(r.files[0], 4*MaxText)
	} else {
		r.buf.Reset(r.files[0])
	}
	long := false // what is skipped is longer than any entry
	for {
		line, err := r.buf.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = true
			r.at += int64(len(line))
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r.at += int64(len(line))
		if e, err := Parse(line); err == nil && !long {
			if err := r.show(e); err != nil {
				return err
			}
		}
		long = false
	}
}

// show writes one entry.
func (r *reader) show(e Entry) error {
	o := r.out[e.Stream]
	begins := !o.within
	o.within = e.Partial
	if o.w == nil || e.Time.Before(r.Since) {
		return nil
	}
	var b []byte
	if r.Timestamps && begins {
		b = append(e.Time.UTC().AppendFormat(b, TimeFormat), ' ')
	}
	b = append(b, e.Text...)
	if !e.Partial {
		b = append(b, '\n')
	}
	if r.Limit > 0 {
		b = b[:min(int64(len(b)), r.Limit-r.written)]
	}
	n, err := o.w.Write(b)
	r.written += int64(n)
	if err == nil && r.Limit > 0 && r.written >= r.Limit {
		err = errLimit
	}
	return err
}
