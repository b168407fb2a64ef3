package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Create begins a blob, or goes on with it. One whose digest is known grows in
// ingest/HEX and belongs to one process at a time: the second waits, until ctx
// ends. What an earlier try left there is kept, and Offset says how much that is.
// A want.Size below 0 is not known; neither is the size where want.Digest is "".
//
// Errors: fs.ErrExist if the blob is there already, also once the other process
// is done; a digest that is not sha256.
func (b *Blobs) Create(ctx context.Context, want Descriptor) (*Writer, error) {
	w := &Writer{blobs: b, want: want, hash: sha256.New(), unlock: func() {}}
	var err error
	if want.Digest == "" {
		w.want.Size = -1
		w.file, err = os.CreateTemp(filepath.Join(b.dir, "ingest"), "new-*")
		if err != nil {
			return nil, fmt.Errorf("new blob: %w", err)
		}
		return w, nil
	}
	if err := checkDigest(want.Digest); err != nil {
		return nil, err
	}
	if w.unlock, err = lock(ctx, b.ingest(want.Digest)+".lock", unix.LOCK_EX); err != nil {
		return nil, err
	}
	// Only now: whoever had the lock before may have finished the blob.
	if b.Has(want.Digest) {
		err = os.ErrExist
	} else {
		w.file, err = os.OpenFile(b.ingest(want.Digest), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	}
	if err == nil {
		err = w.refResume()
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("blob %s: %w", want.Digest, err)
	}
	return w, nil
}

// refResume hashes what is there: a hash cannot be taken up from its middle.
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

// Write adds bytes at the end.
//
// Errors: ErrTooLarge, and nothing is written, if it would be more than want.Size.
func (w *Writer) Write(p []byte) (int, error) {
	if w.want.Size >= 0 && w.size+int64(len(p)) > w.want.Size {
		return 0, fmt.Errorf("blob %s: more than the %d bytes announced: %w", w.want.Digest, w.want.Size, ErrTooLarge)
	}
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	return n, err
}

// Commit puts the blob in its place: after it, the blob is there whole, and would
// be after a power loss. It ends the writer.
//
// Errors: ErrMismatch, naming what came and what was wanted, if size or digest
// differ. The partial file is then gone: nothing good can come of it.
func (w *Writer) Commit() (Descriptor, error) {
	if w.file == nil {
		return Descriptor{}, os.ErrClosed
	}
	defer w.Close()
	got := Descriptor{MediaType: w.want.MediaType, Digest: digest.NewDigest(digest.SHA256, w.hash), Size: w.size}
	if w.want.Digest != "" && (got.Digest != w.want.Digest || w.want.Size >= 0 && got.Size != w.want.Size) {
		os.Remove(w.file.Name())
		return Descriptor{}, fmt.Errorf("blob %s of %d bytes: got %s of %d: %w", w.want.Digest, w.want.Size, got.Digest, got.Size, ErrMismatch)
	}
	// The bytes reach the disk before the name does, or a power loss leaves the name
	// of a blob with a hole in it.
	place := w.blobs.Path(got.Digest)
	err := w.file.Sync()
	if err == nil {
		err = os.Rename(w.file.Name(), place)
	}
	if err == nil {
		err = syncDir(filepath.Dir(place))
	}
	if err != nil {
		return Descriptor{}, fmt.Errorf("blob %s: %w", got.Digest, err)
	}
	if w.want.Digest != "" { // whoever waits for it finds the blob
		os.Remove(w.blobs.ingest(got.Digest) + ".lock")
	}
	return got, nil
}

// Open opens a blob to read it. Every byte is verified on the way: where size or
// digest are not d's, the read that would complete the blob returns ErrMismatch
// instead, so nobody ever has all of a false blob. A d.Size below 0 is not known.
//
// Errors: ErrNotFound.
func (b *Blobs) Open(d Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(b.Path(d.Digest))
	if err != nil {
		return nil, notFound("blob "+string(d.Digest), err)
	}
	return &refVerified{f, d, sha256.New(), 0}, nil
}

// refVerified has Read and Close and no more: were the file embedded, io.Copy would
// find its WriteTo, and go past Read.
type refVerified struct {
	file *os.File
	want Descriptor
	hash hash.Hash
	size int64
}

func (v *refVerified) Close() error { return v.file.Close() }

func (v *refVerified) Read(p []byte) (int, error) {
	n, err := v.file.Read(p)
	v.hash.Write(p[:n])
	v.size += int64(n)
	// At the last byte, not at the end of the file: a reader that knows the size may
	// never ask for more.
	if v.size > v.want.Size && v.want.Size >= 0 || v.size == v.want.Size && n > 0 || err == io.EOF {
		got := digest.NewDigest(digest.SHA256, v.hash)
		if got != v.want.Digest || v.want.Size >= 0 && v.size != v.want.Size {
			return 0, fmt.Errorf("blob %s of %d bytes: read %s of %d: %w", v.want.Digest, v.want.Size, got, v.size, ErrMismatch)
		}
	}
	return n, err
}
