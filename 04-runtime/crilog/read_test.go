package crilog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m, sandbox.Options{Dir: "04-runtime/crilog"})) }

func read(t testing.TB, path string, o ReadOptions) string {
	t.Helper()
	var b bytes.Buffer
	check.NoError(t, "Read", Read(t.Context(), path, o, &b, &b))
	return b.String()
}

func TestRead_TailSinceLimit(t *testing.T) {
	now := noon
	path := filepath.Join(t.TempDir(), "0.log")
	l, err := Open(path, Options{MaxBytes: 300, Keep: 9, Now: func() time.Time { now = now.Add(time.Second); return now }})
	check.NoError(t, "open a log", err)
	defer l.Close()
	out, errs := l.Stream("stdout"), l.Stream("stderr")
	var all string
	for i := range 20 {
		s := out
		if i%4 == 3 {
			s = errs
		}
		line := fmt.Sprintf("line %d\n", i)
		s.Write([]byte(line))
		all += line
	}
	out.Write([]byte("and no end"))
	out.Close()
	all += "and no end"
	lines := strings.SplitAfter(all, "\n")
	check.Equal(t, "all", all, read(t, path, ReadOptions{Tail: -1}))
	check.Equal(t, "the last three", strings.Join(lines[18:], ""), read(t, path, ReadOptions{Tail: 3}))
	check.Equal(t, "the last 13, over files", strings.Join(lines[8:], ""), read(t, path, ReadOptions{Tail: 13}))
	check.Equal(t, "more than there are", all, read(t, path, ReadOptions{Tail: 99}))
	check.Equal(t, "none", "", read(t, path, ReadOptions{Tail: 0}))
	check.Equal(t, "since", strings.Join(lines[9:], ""), read(t, path, ReadOptions{Tail: -1, Since: noon.Add(10 * time.Second)}))
	check.Equal(t, "ten bytes", all[:10], read(t, path, ReadOptions{Tail: -1, Limit: 10}))
	check.Equal(t, "with times", "2026-03-01T12:00:20.000000042Z line 19\n2026-03-01T12:00:22.000000042Z and no end", read(t, path, ReadOptions{Tail: 2, Timestamps: true}))
	var b bytes.Buffer
	check.NoError(t, "Read stderr alone", Read(t.Context(), path, ReadOptions{Tail: -1}, nil, &b))
	check.Equal(t, "stderr", "line 3\nline 7\nline 11\nline 15\nline 19\n", b.String())
	check.ErrorIs(t, "Read what is not there", Read(t.Context(), path+"x", ReadOptions{Tail: -1}, &b, &b), fs.ErrNotExist)
}

// The writer rotates at full speed while a reader follows: nothing is lost, doubled or
// out of order as long as the files that stay are more than the reader is behind.
func TestRead_FollowsOverRotations(t *testing.T) {
	sandbox.Need(t)
	path := filepath.Join(t.TempDir(), "0.log")
	done, r, w := make(chan struct{}), (*io.PipeReader)(nil), (*io.PipeWriter)(nil)
	r, w = io.Pipe()
	go func() {
		w.CloseWithError(Read(t.Context(), path, ReadOptions{Tail: -1, Follow: true, Done: done}, w, w))
	}()
	l, err := Open(path, Options{MaxBytes: 300, Keep: 500})
	check.NoError(t, "open a log", err)
	defer l.Close()
	go func() {
		s := l.Stream("stdout")
		for i := range 2000 {
			fmt.Fprintf(s, "line %d\n", i)
		}
		close(done)
	}()
	got, err := check.Within(t, "follow", "2000 lines and the end", func() (string, error) {
		b, err := io.ReadAll(r)
		return string(b), err
	})
	check.NoError(t, "Read", err)
	var want strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	check.True(t, "what came", got == want.String(), fmt.Sprintf("%d lines", strings.Count(got, "\n")), "each of 2000 once, in order")
}

func TestRead_FollowEndsWithItsContext(t *testing.T) {
	sandbox.Need(t)
	_, path := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := check.Within(t, "follow", "its end", func() (int, error) {
		return 0, Read(ctx, path, ReadOptions{Tail: -1, Follow: true}, io.Discard, io.Discard)
	})
	check.ErrorIs(t, "Read", err, context.Canceled)
}

// A full disk: the writer is not stopped, the file stays readable, and the loss is told.
func TestLog_FullDisk(t *testing.T) {
	sandbox.Need(t)
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "small", dir).CombinedOutput()
	check.NoError(t, "mount a small disk: "+string(out), err)
	defer exec.Command("umount", dir).Run()
	path := filepath.Join(dir, "0.log")
	l, err := Open(path, Options{})
	check.NoError(t, "open a log", err)
	defer l.Close()
	s := l.Stream("stdout")
	for i := range 5000 {
		fmt.Fprintf(s, "line %d\n", i)
	}
	full := strings.Count(text(t, path), "\n")
	check.True(t, "the full log", strings.HasSuffix(text(t, path), "\n"), "half a line at its end", "whole lines")
	check.NoError(t, "make room", errors.Join(os.Rename(path, path+".old"), os.Truncate(path+".old", 0), l.Reopen()))
	fmt.Fprintf(s, "there is room\n")
	check.Equal(t, "what is said of it", fmt.Sprintf("log: %d entries are lost: write %s: no space left on device\nthere is room\n", 5000-full, path), read(t, path, ReadOptions{Tail: -1}))
}

func BenchmarkStream(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "0.log"), Options{MaxBytes: 10 << 20, Keep: 1})
	check.NoError(b, "open a log", err)
	defer l.Close()
	s := l.Stream("stdout")
	chunk := bytes.Repeat([]byte(strings.Repeat("x", 79)+"\n"), 200)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		s.Write(chunk)
	}
}
