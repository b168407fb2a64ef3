package crilog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 42, time.UTC)

func atNoon() time.Time { return noon }

func open(t testing.TB, o Options) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0.log")
	o.Now = atNoon
	l, err := Open(path, o)
	check.NoError(t, "open a log", err)
	t.Cleanup(func() { l.Close() })
	return l, path
}

func text(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check.NoError(t, "read a log", err)
	return string(b)
}

func TestEntry_WrittenAndReadBack(t *testing.T) {
	e := Entry{noon, "stdout", false, []byte("a b ")}
	line := e.Append(nil)
	check.Equal(t, "the line", "2026-03-01T12:00:00.000000042Z stdout F a b \n", string(line))
	back, err := Parse(line)
	check.NoError(t, "Parse", err)
	check.Equal(t, "what it says", e, back)
	back, err = Parse([]byte("2026-03-01T13:00:00.000000042+01:00 stderr P:x "))
	check.NoError(t, "Parse of an empty text with a further word in its tag", err)
	check.True(t, "Parse", back.Partial && len(back.Text) == 0 && back.Time.Equal(noon), string(back.Text), "a partial, empty text")
	for _, bad := range []string{"", "\n", "hello", "2026-03-01T12:00:00Z stdout F", "noon stdout F x", "2026-03-01T12:00:00Z stdin F x", "2026-03-01T12:00:00Z stdout X x"} {
		_, err := Parse([]byte(bad))
		check.ErrorHas(t, "Parse of "+bad, err, []string{"CRI log"})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-03-01T12:00:00.000000042Z stdout F a b \n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Parse(line)
		if err != nil || bytes.ContainsRune(e.Text, '\n') || e.Time.UTC().Year() > 9999 || e.Time.UTC().Year() < 0 {
			return
		}
		back, err := Parse(e.Append(nil))
		if err != nil || !back.Time.Equal(e.Time) || !bytes.Equal(back.Text, e.Text) || back.Partial != e.Partial {
			t.Fatalf("%q is not what it was: %v %v", line, back, err)
		}
	})
}

func TestStream_LinesOfAnySize(t *testing.T) {
	l, path := open(t, Options{})
	long := strings.Repeat("x", MaxText)
	s := l.Stream("stdout")
	for _, piece := range []string{"one\ntw", "o\n\n", long, "\n", long + "y\n", long[:5], long, long, "z\n", "end"} {
		n, err := s.Write([]byte(piece))
		check.True(t, "Write", n == len(piece) && err == nil, check.Error(err), "all of it taken")
	}
	check.NoError(t, "Close", s.Close())
	var got []string
	for _, line := range strings.SplitAfter(text(t, path), "\n") {
		if line != "" {
			e, err := Parse([]byte(line))
			check.NoError(t, "Parse", err)
			got = append(got, map[bool]string{true: "P ", false: "F "}[e.Partial]+strings.ReplaceAll(string(e.Text), long, "LONG"))
		}
	}
	check.Equal(t, "the entries", []string{"F one", "F two", "F ", "F LONG", "P LONG", "F y", "P LONG", "P LONG", "F xxxxxz", "P end"}, got)
}

func TestLog_RotationKeepsLinesWhole(t *testing.T) {
	l, path := open(t, Options{MaxBytes: 200, Keep: 2})
	s := l.Stream("stdout")
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} { // three lines fit a file
		s.Write([]byte(name + strings.Repeat(".", 20) + "\n"))
	}
	check.Equal(t, "the files", "0.log 0.log.1 0.log.2", strings.Join(names(t, path), " "))
	check.Equal(t, "lines of the newest", 2, strings.Count(text(t, path), "\n"))
	for _, name := range names(t, path) {
		for line := range strings.Lines(text(t, filepath.Join(filepath.Dir(path), name))) {
			_, err := Parse([]byte(line))
			check.NoError(t, "Parse of each line", err)
		}
	}
	for range 3 { // the oldest go
		for range 3 {
			s.Write([]byte(strings.Repeat(".", 20) + "\n"))
		}
	}
	check.Equal(t, "the files, later", 3, len(names(t, path)))
	check.True(t, "the oldest file", !strings.Contains(text(t, Rotated(path, 2)), "a."), "a line that is long gone", "younger ones")
}

func names(t testing.TB, path string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	check.NoError(t, "list", err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestLog_ReopenAfterSomebodyRenamed(t *testing.T) {
	l, path := open(t, Options{})
	s := l.Stream("stdout")
	s.Write([]byte("one\n"))
	check.NoError(t, "rename", os.Rename(path, path+".20260301"))
	s.Write([]byte("two\n"))
	check.NoError(t, "Reopen", l.Reopen())
	s.Write([]byte("three\n"))
	check.Equal(t, "lines in the old file", 2, strings.Count(text(t, path+".20260301"), "\n"))
	check.Equal(t, "lines in the new one", 1, strings.Count(text(t, path), "\n"))
}
