package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

var text = []byte("what was shipped")

func descriptor(data []byte) Descriptor {
	return Descriptor{MediaType: "text/plain", Digest: digest.FromBytes(data), Size: int64(len(data))}
}

const keepsLock = "the lock is kept after Commit or an error: whoever wants the blob next waits for ever"

func create(t *testing.T, b *Blobs, want Descriptor) *Writer {
	t.Helper()
	w, err := check.Within(t, "Create", "its return", func() (*Writer, error) { return b.Create(t.Context(), want) }, check.Often(true, keepsLock))
	check.NoError(t, "Create", err)
	t.Cleanup(func() { w.Close() })
	return w
}

func TestBlob_IsThereOnceCommitted(t *testing.T) {
	exercise.Need(t, "3.1")
	for _, want := range []Descriptor{descriptor(text), {MediaType: "text/plain"}} {
		s := newStore(t)
		b := s.Blobs()
		d := descriptor(text)
		w := create(t, b, want)
		for _, half := range [][]byte{text[:5], text[5:]} {
			n, err := w.Write(half)
			check.NoError(t, "Write", err)
			check.Equal(t, "bytes written", len(half), n)
		}
		check.True(t, "the blob before Commit", !b.Has(d.Digest), "there", "not there",
			check.Often(true, "it grows under its last name: who looks now takes half for the whole"))
		grew, err := os.Stat(s.Path("ingest", strings.Fields(list(t, s.Path("ingest")))[0])) // the lock's file is after it
		check.NoError(t, "the file that grows", err)
		got, err := w.Commit()
		check.NoError(t, "Commit", err)
		check.Equal(t, "Commit's descriptor", d, got)
		is, err := os.Stat(b.Path(d.Digest))
		check.NoError(t, "the blob's file", err)
		check.True(t, "the blob's file", os.SameFile(grew, is), "another one than grew in ingest/", "the same, under another name",
			check.Often(true, "it is copied to its last name: whoever looks meanwhile, or after a crash, takes half for the whole"))
		data, err := os.ReadFile(s.Path("blobs", "sha256", d.Digest.Encoded()))
		check.NoError(t, "read the blob's file", err)
		check.Equal(t, "the blob's file", string(text), string(data))
		for range 2 { // an error must not leave it locked either
			_, err = check.Within(t, "Create of a blob that is there", "its return", func() (*Writer, error) { return b.Create(t.Context(), d) },
				check.Often(true, keepsLock))
			check.ErrorIs(t, "Create of a blob that is there", err, fs.ErrExist)
		}
		check.NoError(t, "Close after Commit", w.Close())
		check.Equal(t, "ingest/ afterwards", "", list(t, s.Path("ingest")))
		_, err = w.Commit()
		check.ErrorIs(t, "a second Commit", err, os.ErrClosed)
		_, err = w.Write(text)
		check.ErrorIs(t, "Write after Commit", err, os.ErrClosed)
	}
	s := newStore(t)
	w := create(t, s.Blobs(), Descriptor{})
	w.Write(text)
	check.NoError(t, "Close without Commit", w.Close())
	check.Equal(t, "ingest/ after a blob without a digest was given up", "", list(t, s.Path("ingest")))
	_, err := w.Commit()
	check.ErrorIs(t, "Commit after Close", err, os.ErrClosed)
}

func TestCommit_RefusesWhatIsNotTheBlob(t *testing.T) {
	exercise.Need(t, "3.1")
	s := newStore(t)
	b := s.Blobs()
	other := bytes.Repeat([]byte("x"), len(text))
	for _, c := range []struct {
		what string
		want Descriptor
		data []byte
	}{
		{"other bytes of the same number", descriptor(text), other},
		{"the beginning alone", descriptor(text), text[:7]},
		{"nothing", descriptor(text), nil},
		{"the right digest, but fewer bytes than announced", Descriptor{Digest: digest.FromBytes(text), Size: 99}, text},
		{"another digest, the size not known", Descriptor{Digest: digest.FromBytes(text), Size: -1}, other},
	} {
		w := create(t, b, c.want)
		_, err := w.Write(c.data)
		check.NoError(t, "Write", err)
		_, err = w.Commit()
		check.ErrorIs(t, "Commit of "+c.what, err, ErrMismatch, check.Often(err == nil && c.want.Size == 99, "the digest alone is compared, and not the size"))
		check.ErrorHas(t, "its error", err, []string{c.want.Digest.Encoded(), digest.FromBytes(c.data).Encoded()})
		check.True(t, "the blob afterwards", !b.Has(c.want.Digest), "there", "not there")
		w = create(t, b, c.want)
		check.Equal(t, "Offset of the next try", int64(0), w.Offset(), check.Often(true, "the false bytes are kept: every further try fails too"))
		w.Close()
	}

	w := create(t, b, descriptor(text))
	_, err := w.Write(append(text[:len(text):len(text)], '!'))
	check.ErrorIs(t, "Write of more than was announced", err, ErrTooLarge)
	check.Equal(t, "what is in the file then", int64(0), w.Offset())

	for _, d := range []string{"sha256:../../../etc/passwd", "sha256:" + strings.Repeat("/", 64), "sha512:" + strings.Repeat("a", 128), "md5:00", "x"} {
		_, err := b.Create(t.Context(), Descriptor{Digest: digest.Digest(d), Size: 1})
		check.True(t, "Create of "+d, err != nil, "no error", "an error that names it", check.Often(true, "a digest becomes a path as it is"))
		_, err = b.Open(Descriptor{Digest: digest.Digest(d), Size: 1})
		check.ErrorIs(t, "Open of "+d, err, ErrNotFound)
	}
}

func TestOpen_Verifies(t *testing.T) {
	exercise.Need(t, "3.1")
	s := newStore(t)
	b := s.Blobs()
	d, err := b.Put("text/plain", text)
	check.NoError(t, "Put", err)
	data, err := b.ReadAll(d, 100)
	check.NoError(t, "ReadAll", err)
	check.Equal(t, "ReadAll", string(text), string(data))
	_, err = b.ReadAll(d, 3)
	check.ErrorIs(t, "ReadAll of 16 bytes, 3 allowed", err, ErrTooLarge)
	_, err = b.Open(descriptor([]byte("nowhere")))
	check.ErrorIs(t, "Open of a blob that is not there", err, ErrNotFound)
	empty, err := b.Put("text/plain", nil)
	check.NoError(t, "Put of an empty blob", err)
	data, err = b.ReadAll(empty, 0)
	check.NoError(t, "ReadAll of an empty blob", err)
	check.Equal(t, "its bytes", 0, len(data))

	for _, c := range []struct {
		what string
		now  []byte
	}{
		{"one byte altered", append([]byte("W"), text[1:]...)},
		{"the last byte missing", text[:len(text)-1]},
		{"one byte more", append(text[:len(text):len(text)], '!')},
		{"one altered, one more", append([]byte("W"), append(text[1:len(text):len(text)], '!')...)},
		{"emptied", nil},
	} {
		what, now := c.what, c.now
		check.NoError(t, "damage the blob", os.WriteFile(b.Path(d.Digest), now, 0o644))
		for _, size := range []int64{d.Size, -1} {
			r, err := b.Open(Descriptor{Digest: d.Digest, Size: size})
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			_, around := r.(io.WriterTo)
			check.ErrorIs(t, fmt.Sprintf("to read the blob, %s, size %d", what, size), err, ErrMismatch,
				check.Often(around, "os.File is embedded: io.Copy finds its WriteTo and goes past Read"),
				check.Often(err == nil, "the digest is compared when it is written, but disks and people change files"))
		}
		for _, c := range []struct{ size, read int64 }{{d.Size, d.Size}, {-1, int64(len(now))}} {
			if c.read == 0 {
				continue // nothing is what one has of it before one reads
			}
			r, err := b.Open(Descriptor{Digest: d.Digest, Size: c.size})
			if err == nil {
				_, err = io.ReadFull(r, make([]byte, c.read))
				r.Close()
			}
			check.ErrorIs(t, fmt.Sprintf("to read %d bytes of the blob, %s, size %d", c.read, what, c.size), err, ErrMismatch,
				check.Often(err == nil && c.size < 0, "the last bytes are given before it is seen that they are the last"),
				check.Often(err == nil && len(now) > len(text), "the file is longer than d.Size, and its beginning taken for the blob"),
				check.Often(err == nil, "it is verified at the end of the file only: who knows the size never reads on to there"))
		}
	}
}

func TestCreate_GoesOnWhereItBrokeOff(t *testing.T) {
	exercise.Need(t, "3.1")
	s := newStore(t)
	b := s.Blobs()
	w := create(t, b, descriptor(text))
	w.Write(text[:7])
	check.NoError(t, "Close of half a blob", w.Close())
	w = create(t, b, descriptor(text))
	check.Equal(t, "Offset of the next try", int64(7), w.Offset())
	_, err := w.Write(text[7:])
	check.NoError(t, "Write of the rest", err)
	_, err = w.Commit()
	check.NoError(t, "Commit", err, check.Often(errors.Is(err, ErrMismatch), "what was there before is not hashed again"))
	data, _ := os.ReadFile(b.Path(descriptor(text).Digest))
	check.Equal(t, "the blob's file", string(text), string(data))

	// A file that is longer than the blob is no beginning of it.
	other := descriptor([]byte("short"))
	check.NoError(t, "write a partial file", os.WriteFile(s.Path("ingest", other.Digest.Encoded()), []byte("far too long"), 0o644))
	w = create(t, b, other)
	check.Equal(t, "Offset where too much was there", int64(0), w.Offset())
	_, err = w.Write([]byte("short"))
	check.NoError(t, "Write", err)
	_, err = w.Commit()
	check.NoError(t, "Commit", err)
	data, _ = os.ReadFile(b.Path(other.Digest))
	check.Equal(t, "the blob's file, too much was there before", "short", string(data),
		check.Often(true, "Create starts over at the beginning, and what stood behind stays in the file"))

	some := Descriptor{Digest: digest.FromString("size not known"), Size: -1}
	check.NoError(t, "write a partial file", os.WriteFile(s.Path("ingest", some.Digest.Encoded()), []byte("size"), 0o644))
	w = create(t, b, some)
	check.Equal(t, "Offset of 4 bytes, the size not known", int64(4), w.Offset(), check.Often(true, "-1 is taken for a size, and 4 for too much"))
	_, err = w.Write([]byte(" not known"))
	check.NoError(t, "Write, the size not known", err)
	_, err = w.Commit()
	check.NoError(t, "Commit, the size not known", err)
	t.Run("after a process that was killed", afterAProcessThatWasKilled)
}

func TestCreate_OneAtATime(t *testing.T) {
	exercise.Need(t, "3.1")
	s := newStore(t)
	b := s.Blobs()
	d := descriptor(text)
	w := create(t, b, d)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := check.Within(t, "a second Create, its context ends", "its return", func() (*Writer, error) { return b.Create(ctx, d) })
	check.ErrorIs(t, "a second Create, its context ends", err, context.DeadlineExceeded,
		check.Often(err == nil, "two write to one file"))
	second, waiting := make(chan error, 1), &listened{Context: t.Context(), now: make(chan struct{})}
	go func() {
		_, err := b.Create(waiting, d)
		second <- err
	}()
	check.Within(t, "a second Create while the first writes", "it to wait, and to listen to its context meanwhile", func() (int, error) { <-waiting.now; return 0, nil })
	create(t, b, Descriptor{}).Close() // of other blobs nobody waits
	create(t, b, descriptor([]byte("another"))).Close()
	w.Write(text)
	_, err = w.Commit()
	check.NoError(t, "Commit", err)
	_, err = check.Within(t, "a second Create, the first is done", "its return", func() (int, error) { return 0, <-second })
	check.ErrorIs(t, "a second Create, the first is done", err, fs.ErrExist,
		check.Often(err == nil, "the blob is looked for before the lock is held"))
	unlock, err := tryLock(b.lockFile(d.Digest), unix.LOCK_EX)
	check.True(t, "the lock after fs.ErrExist", err == nil && unlock != nil, "held", "given back", check.Often(true, keepsLock))
	unlock()
}

// listened is a context that tells when somebody begins to wait for its end.
type listened struct {
	context.Context
	now  chan struct{}
	once sync.Once
}

func (l *listened) Done() <-chan struct{} {
	l.once.Do(func() { close(l.now) })
	return l.Context.Done()
}

// grow begins a blob and stands still.
func init() {
	helpers["grow"] = func(arg ...string) error {
		s, err := Open(arg[0], Kernel)
		if err != nil {
			return err
		}
		w, err := s.Blobs().Create(context.Background(), descriptor(text))
		if err != nil {
			return err
		}
		w.Write(text[:9])
		fmt.Println("growing")
		select {}
	}
}

func afterAProcessThatWasKilled(t *testing.T) {
	s := newStore(t)
	cmd := another(t.Context(), "grow", s.Path())
	out, err := cmd.StdoutPipe()
	check.NoError(t, "pipe", err)
	check.NoError(t, "start another process", cmd.Start())
	_, err = check.Within(t, "another process begins a blob", "its word", func() (int, error) { return io.ReadFull(out, make([]byte, 8)) })
	check.NoError(t, "another process begins a blob", err)
	check.NoError(t, "kill it", cmd.Process.Kill())
	cmd.Wait()
	w := create(t, s.Blobs(), descriptor(text))
	check.Equal(t, "Offset after a process was killed at byte 9", int64(9), w.Offset())
}
