// Mistake: the false bytes are kept: every further try fails too
package images

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

func (b *Blobs) Create(ctx context.Context, want Descriptor) (*Writer, error) {
	if want.Digest == "" {
		return b.unnamed(want.MediaType)
	}
	if err := checkDigest(want.Digest); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, b.lockFile(want.Digest), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	w := &Writer{blobs: b, want: want, hash: sha256.New(), unlock: unlock}
	// Only now: whoever had the lock before may have finished the blob.
	if b.Has(want.Digest) {
		err = fs.ErrExist
	} else if w.file, err = os.OpenFile(b.ingest(want.Digest), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		err = w.refResume()
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("blob %s: %w", want.Digest, err)
	}
	return w, nil
}

func (w *Writer) refResume() (err error) {
	if w.size, err = io.Copy(w.hash, w.file); err != nil {
		return err
	}
	if w.want.Size >= 0 && w.size > w.want.Size { // no beginning of this blob
		w.hash.Reset()
		w.size = 0
		_, err = w.file.Seek(0, io.SeekStart)
		return errors.Join(err, w.file.Truncate(0))
	}
	return nil
}

func (w *Writer) Write(p []byte) (int, error) {
	if w.file == nil {
		return 0, os.ErrClosed
	}
	if w.want.Size >= 0 && w.size+int64(len(p)) > w.want.Size {
		return 0, fmt.Errorf("blob %s: more than the %d bytes announced: %w", w.want.Digest, w.want.Size, ErrTooLarge)
	}
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	return n, err
}

func (w *Writer) Commit() (Descriptor, error) {
	if w.file == nil {
		return Descriptor{}, os.ErrClosed
	}
	defer w.Close()
	got := Descriptor{MediaType: w.want.MediaType, Digest: digest.NewDigest(digest.SHA256, w.hash), Size: w.size}
	if w.want.Digest != "" && (got.Digest != w.want.Digest || w.want.Size >= 0 && got.Size != w.want.Size) {
		return Descriptor{}, mismatch(w.want, got.Digest, got.Size)
	}
	// The bytes reach the disk before the name does, or a power loss leaves the name
	// of a blob with a hole in it.
	place := w.blobs.Path(got.Digest)
	err := w.file.Sync()
	if err != nil {
		os.Remove(w.file.Name()) // a second fsync would not say what is lost
	} else {
		err = os.Rename(w.file.Name(), place)
	}
	if err == nil {
		err = syncDir(filepath.Dir(place))
	}
	if err != nil {
		return Descriptor{}, fmt.Errorf("blob %s: %w", got.Digest, err)
	}
	return got, nil
}

func (b *Blobs) Open(d Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(b.Path(d.Digest))
	if err != nil {
		return nil, notFound("blob "+string(d.Digest), err)
	}
	return &refVerified{f, bufio.NewReaderSize(f, 1<<16), d, sha256.New(), 0}, nil
}

type refVerified struct {
	file  *os.File
	ahead *bufio.Reader
	want  Descriptor
	hash  hash.Hash
	size  int64
}

func (v *refVerified) Close() error { return v.file.Close() }

func (v *refVerified) Read(p []byte) (int, error) {
	n, err := v.ahead.Read(p)
	v.hash.Write(p[:n])
	v.size += int64(n)
	// Are these the last bytes? A reader that knows the size never asks for more.
	switch _, end := v.ahead.Peek(1); {
	case end == nil && (v.want.Size < 0 || v.size < v.want.Size):
		return n, err
	case end == nil: // longer than it should be
		more, _ := io.Copy(v.hash, v.ahead)
		v.size += more
	case end != io.EOF:
		return 0, end
	}
	got := digest.NewDigest(digest.SHA256, v.hash)
	if got != v.want.Digest || v.want.Size >= 0 && v.size != v.want.Size {
		return 0, mismatch(v.want, got, v.size)
	}
	return n, err
}
