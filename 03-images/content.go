package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

var (
	// ErrMismatch: the bytes are not those that the descriptor names.
	ErrMismatch = errors.New("does not match its descriptor")
	// ErrTooLarge: more than was announced, or than is allowed.
	ErrTooLarge = errors.New("too large")
)

// Blobs are the blobs of a store, and those on their way into it.
type Blobs struct{ dir string }

// Blobs returns the store's blobs.
func (s *Store) Blobs() *Blobs { return &Blobs{s.dir} }

// Path returns where a blob is, or would be.
func (b *Blobs) Path(d digest.Digest) string {
	if checkDigest(d) != nil {
		return filepath.Join(b.dir, "blobs", "no sha256 digest")
	}
	return filepath.Join(b.dir, "blobs", "sha256", d.Encoded())
}

// ingest returns where a blob grows whose digest is known.
func (b *Blobs) ingest(d digest.Digest) string {
	return filepath.Join(b.dir, "ingest", d.Encoded())
}

// lockFile returns what is locked by whoever writes to ingest's file.
func (b *Blobs) lockFile(d digest.Digest) string { return b.ingest(d) + ".lock" }

// Has says whether a blob is there, whole as it was when it came.
func (b *Blobs) Has(d digest.Digest) bool {
	_, err := os.Lstat(b.Path(d))
	return err == nil
}

// Put adds a small blob, such as a manifest, and waits for nobody. One that is
// there already is no error.
func (b *Blobs) Put(mediaType string, data []byte) (Descriptor, error) {
	d := Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if b.Has(d.Digest) {
		return d, nil
	}
	w, err := b.Create(context.Background(), Descriptor{MediaType: mediaType})
	if err != nil {
		return Descriptor{}, err
	}
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		return Descriptor{}, err
	}
	return w.Commit()
}

// ReadAll reads a blob of at most max bytes, verified.
func (b *Blobs) ReadAll(d Descriptor, max int64) ([]byte, error) {
	if d.Size > max {
		return nil, fmt.Errorf("blob %s: %d bytes, %d are allowed: %w", d.Digest, d.Size, max, ErrTooLarge)
	}
	r, err := b.Open(d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(data)) > max {
		err = fmt.Errorf("blob %s: %d bytes are allowed: %w", d.Digest, max, ErrTooLarge)
	}
	return data, err
}

// checkDigest refuses what is no sha256 digest. A digest becomes a file's name:
// nothing else than 64 hex digits may get there.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", cut(string(d)), err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q: only sha256 is supported", d)
	}
	return nil
}

// mismatch words ErrMismatch: what was wanted, and what came.
func mismatch(want Descriptor, got digest.Digest, size int64) error {
	wanted := string(want.Digest)
	if want.Size >= 0 {
		wanted += fmt.Sprintf(" of %d bytes", want.Size)
	}
	return fmt.Errorf("blob %s: got %s of %d bytes: %w", wanted, got, size, ErrMismatch)
}

// cut shortens what a stranger wrote, for a message of one line.
func cut(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// notFound words fs.ErrNotExist as ErrNotFound.
func notFound(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	return fmt.Errorf("%s: %w", what, err)
}
