// Alternative: the file is hashed whole by Commit, and a reader is a LimitedReader whose end is looked at.
package images

import (
	"context"
	_ "crypto/sha256" // or go-digest does not find it
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

func (b *Blobs) Create(ctx context.Context, want Descriptor) (_ *Writer, err error) {
	if want.Digest == "" {
		return b.unnamed(want.MediaType)
	}
	if err := checkDigest(want.Digest); err != nil {
		return nil, err
	}
	w := &Writer{blobs: b, want: want}
	if w.unlock, err = lock(ctx, b.lockFile(want.Digest), unix.LOCK_EX); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	if _, err := os.Stat(b.Path(want.Digest)); err == nil {
		return nil, &fs.PathError{Op: "create", Path: b.Path(want.Digest), Err: fs.ErrExist}
	}
	if w.file, err = os.OpenFile(b.ingest(want.Digest), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	fi, err := w.file.Stat()
	if err != nil {
		return nil, err
	}
	if w.size = fi.Size(); want.Size >= 0 && w.size > want.Size {
		w.size = 0
		err = w.file.Truncate(0)
	}
	return w, err
}

func (w *Writer) Write(p []byte) (n int, err error) {
	if w.file == nil {
		return 0, fmt.Errorf("write: %w", os.ErrClosed)
	}
	if left := w.want.Size - w.size; w.want.Size >= 0 && int64(len(p)) > left {
		return 0, fmt.Errorf("blob %s: %d bytes, %d are left: %w", w.want.Digest, len(p), left, ErrTooLarge)
	}
	n, err = w.file.Write(p)
	w.size += int64(n)
	return n, err
}

func (w *Writer) Commit() (Descriptor, error) {
	if w.file == nil {
		return Descriptor{}, fmt.Errorf("commit: %w", os.ErrClosed)
	}
	defer w.Close()
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return Descriptor{}, err
	}
	is, err := digest.FromReader(w.file)
	if err != nil {
		return Descriptor{}, err
	}
	known := w.want
	if known.Digest == "" {
		known.Digest = is
	}
	if known.Size < 0 {
		known.Size = w.size
	}
	if is != known.Digest || w.size != known.Size {
		return Descriptor{}, errors.Join(os.Remove(w.file.Name()), mismatch(w.want, is, w.size))
	}
	if err := w.file.Sync(); err != nil {
		return Descriptor{}, errors.Join(err, os.Remove(w.file.Name()))
	}
	place := w.blobs.Path(is)
	if err := os.Rename(w.file.Name(), place); err != nil {
		return Descriptor{}, err
	}
	return Descriptor{MediaType: w.want.MediaType, Digest: is, Size: w.size}, syncDir(filepath.Dir(place))
}

func (b *Blobs) Open(d Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(b.Path(d.Digest))
	if err != nil {
		return nil, notFound(string(d.Digest), err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	r := &refReader{of: d, close: f.Close, left: io.LimitedReader{R: f, N: fi.Size()}, max: fi.Size(), sum: digest.SHA256.Digester()}
	if d.Size >= 0 && fi.Size() != d.Size {
		r.early = fmt.Errorf("blob %s: %d bytes, not %d: %w", d.Digest, fi.Size(), d.Size, ErrMismatch)
	}
	return r, nil
}

type refReader struct {
	of    Descriptor
	close func() error
	left  io.LimitedReader
	max   int64
	sum   digest.Digester
	early error // of a file whose size is another one
}

func (r *refReader) Close() error { return r.close() }

func (r *refReader) Read(p []byte) (int, error) {
	if r.early != nil {
		return 0, r.early
	}
	n, err := r.left.Read(p)
	r.sum.Hash().Write(p[:n])
	if (err == io.EOF || r.left.N == 0) && r.sum.Digest() != r.of.Digest {
		return 0, mismatch(r.of, r.sum.Digest(), r.max-r.left.N)
	}
	return n, err
}
