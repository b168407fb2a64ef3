package images

import (
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// Blobs are the blobs of a store, and those on their way into it.
type Blobs struct{ dir string }

// Blobs returns the store's blobs.
func (s *Store) Blobs() *Blobs { return &Blobs{s.dir} }

// Path returns where a blob is, or would be.
func (b *Blobs) Path(d digest.Digest) string {
	if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
		return filepath.Join(b.dir, "blobs", "no sha256 digest")
	}
	return filepath.Join(b.dir, "blobs", "sha256", d.Encoded())
}
