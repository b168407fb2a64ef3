package crilog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// MaxText is how many bytes of text an entry has at most.
const MaxText = 16 << 10

// TimeFormat is RFC 3339 with all nine digits, so that times of one zone sort as text.
const TimeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// An Entry is a line of the file.
type Entry struct {
	Time    time.Time
	Stream  string // "stdout" or "stderr"
	Partial bool   // the container's line goes on in the stream's next entry
	Text    []byte // without the line end
}

// Append adds the entry to b as a line, its time in UTC:
//
//	{…, "stdout", false, "hi"} → "2026-03-01T09:30:00.123456789Z stdout F hi\n"
func (e Entry) Append(b []byte) []byte {
	b = e.Time.UTC().AppendFormat(b, TimeFormat)
	b = append(b, ' ')
	b = append(b, e.Stream...)
	if e.Partial {
		b = append(b, " P "...)
	} else {
		b = append(b, " F "...)
	}
	b = append(b, e.Text...)
	return append(b, '\n')
}

// Parse reads a line, with or without its end. A tag may have further words behind a
// colon, which later versions may add: "P:x". The text is a part of line, not a copy.
//
// Errors: a line of another form; the error quotes its beginning.
func Parse(line []byte) (e Entry, err error) {
	bad := fmt.Errorf("%.40q is no line of a CRI log", line)
	words := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 4)
	if len(words) < 4 {
		return e, bad
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, string(words[0])); err != nil {
		return e, bad
	}
	e.Stream, e.Text = string(words[1]), words[3]
	if e.Stream != "stdout" && e.Stream != "stderr" {
		return e, bad
	}
	switch tag, _, _ := bytes.Cut(words[2], []byte(":")); string(tag) {
	case "P":
		e.Partial = true
	case "F":
	default:
		return e, bad
	}
	return e, nil
}

// Write takes what the container printed, in pieces of any size. Whole lines go to the
// log, and the rest waits for its end or for MaxText bytes. It always succeeds.
func (s *Stream) Write(p []byte) (int, error) {
	now := s.log.now()
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := MaxText - len(s.held); len(line) > room { // never more than MaxText are held
			s.add(now, line[:room], true)
			rest = rest[room:]
			continue
		}
		if rest = after; whole {
			s.add(now, line, false)
		} else {
			s.held = append(s.held, line...)
		}
	}
	s.flush()
	return len(p), nil
}

// Close writes what never got its line end, as a partial entry.
func (s *Stream) Close() error {
	if len(s.held) > 0 {
		s.add(s.log.now(), nil, true)
	}
	s.flush()
	return nil
}

// rotate makes room: path becomes path.1, path.1 becomes path.2, and so on; the one
// that would be path.(Keep+1) is overwritten by the one before. The oldest comes first, so
// that a crash in between leaves a hole and takes nothing away. Then a new file is
// opened; until that worked the old one is written to.
//
// Errors: that of renaming or opening; a file that is not there is none.
func (l *Log) rotate() error {
	for n := l.options.Keep; n > 0; n-- {
		if err := os.Rename(Rotated(l.path, n-1), Rotated(l.path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if l.options.Keep <= 0 {
		if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return l.open()
}
