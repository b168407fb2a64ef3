package images

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// CommitLayer makes a blob of the upper folder of an overlay: Diff, packed with
// gzip. The digest of what was packed is its diff ID. The caller holds the store
// (Share).
func (s *Store) CommitLayer(ctx context.Context, upper string, o DiffOptions) (layer Descriptor, diffID digest.Digest, err error) {
	w, err := s.Blobs().Create(ctx, Descriptor{MediaType: v1.MediaTypeImageLayerGzip})
	if err != nil {
		return Descriptor{}, "", fmt.Errorf("commit a layer: %w", err)
	}
	defer w.Close()
	packed, plain := newGzip(w), sha256.New()
	if err = Diff(ctx, upper, io.MultiWriter(packed, plain), o); err == nil {
		err = packed.Close()
	}
	if err == nil {
		layer, err = w.Commit()
	}
	if err != nil {
		return Descriptor{}, "", fmt.Errorf("commit a layer: %w", err)
	}
	return layer, digest.NewDigest(digest.SHA256, plain), nil
}
