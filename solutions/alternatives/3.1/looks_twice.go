// Alternative: it looks for the blob before it waits, too; the file is opened to append, and a reader keeps its error.
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
	exists := fmt.Errorf("blob %s: %w", want.Digest, fs.ErrExist)
	if b.Has(want.Digest) {
		return nil, exists
	}
	unlock, err := lock(ctx, b.lockFile(want.Digest), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	w := &Writer{blobs: b, want: want, hash: sha256.New(), unlock: unlock}
	if b.Has(want.Digest) {
		w.Close()
		return nil, exists
	}
	if err := w.refResume(); err != nil {
		w.Close()
		return nil, fmt.Errorf("blob %s: %w", want.Digest, err)
	}
	return w, nil
}

func (w *Writer) refResume() (err error) {
	w.file, err = os.OpenFile(w.blobs.ingest(w.want.Digest), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if w.size, err = io.Copy(w.hash, w.file); err != nil {
		return err
	}
	if w.want.Size >= 0 && w.size > w.want.Size {
		w.hash.Reset()
		w.size = 0
		return w.file.Truncate(0)
	}
	return nil
}

func (w *Writer) Write(p []byte) (int, error) {
	if w.file == nil {
		return 0, os.ErrClosed
	}
	if w.want.Size >= 0 && int64(len(p)) > w.want.Size-w.size {
		return 0, fmt.Errorf("blob %s: more than %d bytes: %w", w.want.Digest, w.want.Size, ErrTooLarge)
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
	partial := w.file.Name()
	got := Descriptor{MediaType: w.want.MediaType, Digest: digest.NewDigest(digest.SHA256, w.hash), Size: w.size}
	if !refFits(w.want, got.Digest, got.Size) {
		os.Remove(partial)
		return Descriptor{}, mismatch(w.want, got.Digest, got.Size)
	}
	if err := w.file.Sync(); err != nil {
		os.Remove(partial) // the kernel may have dropped what it could not write; a second fsync would not say so
		return Descriptor{}, fmt.Errorf("blob %s: %w", got.Digest, err)
	}
	place := w.blobs.Path(got.Digest)
	if err := os.Rename(partial, place); err != nil {
		return Descriptor{}, fmt.Errorf("blob %s: %w", got.Digest, err)
	}
	if err := syncDir(filepath.Dir(place)); err != nil {
		return Descriptor{}, fmt.Errorf("blob %s: %w", got.Digest, err)
	}
	return got, nil
}

func (b *Blobs) Open(d Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(b.Path(d.Digest))
	if err != nil {
		return nil, notFound("blob "+cut(string(d.Digest)), err)
	}
	return &refVerified{file: f, ahead: bufio.NewReader(f), want: d, hash: sha256.New()}, nil
}

func refFits(want Descriptor, got digest.Digest, size int64) bool {
	return (want.Digest == "" || want.Digest == got) && (want.Size < 0 || want.Size == size)
}

type refVerified struct {
	file  *os.File
	ahead *bufio.Reader
	want  Descriptor
	hash  hash.Hash
	size  int64
	err   error // once set, every read's
}

func (r *refVerified) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err := r.ahead.Read(p)
	r.hash.Write(p[:n])
	r.size += int64(n)
	if err == nil {
		_, err = r.ahead.Peek(1)
	}
	long := r.want.Size >= 0 && (r.size > r.want.Size || r.size == r.want.Size && err == nil)
	switch {
	case long:
		rest, _ := io.Copy(r.hash, r.ahead) // for the message
		r.size += rest
		fallthrough
	case errors.Is(err, io.EOF):
		if got := digest.NewDigest(digest.SHA256, r.hash); long || !refFits(r.want, got, r.size) {
			r.err = mismatch(r.want, got, r.size)
		} else {
			r.err = io.EOF
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
		}
	case err != nil:
		r.err = err
	default:
		return n, nil
	}
	clear(p[:n])
	return 0, r.err
}

func (r *refVerified) Close() error { return r.file.Close() }
