package remote

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
)

// parts is what an image consists of: what a pull knows before the layers come.
type parts struct {
	manifest Descriptor      // of the platform; the target itself, where that is no index
	layers   []Descriptor    // as shipped, the lowest first
	diffIDs  []digest.Digest // of the tars in them
	small    [][]byte        // to be kept: the index, if there is one, the manifest and the config
}

// parts reads a manifest and the config that it names. Where Resolve found an index
// it goes on to the manifest for the platform, verified against what the index says.
func (c *Client) parts(ctx context.Context, ref Reference, target Descriptor, data []byte, p v1.Platform) (*parts, error) {
	all := &parts{manifest: target, small: [][]byte{data}}
	if images.IsIndex(target.MediaType) {
		index, err := images.ParseIndex(target.MediaType, data)
		if err != nil {
			return nil, err
		}
		want, err := images.Select(index, p)
		if err != nil {
			return nil, err
		}
		if all.manifest, data, err = c.Resolve(ctx, ref.At(want.Digest)); err != nil {
			return nil, err
		}
		if all.manifest.Size != want.Size {
			return nil, fmt.Errorf("manifest %s: %d bytes came, the index says %d: %w", want.Digest, all.manifest.Size, want.Size, images.ErrMismatch)
		}
		all.small = append(all.small, data)
	}
	m, err := images.ParseManifest(all.manifest.MediaType, data)
	if err != nil {
		return nil, err
	}
	config, err := c.small(ctx, ref, m.Config)
	if err != nil {
		return nil, err
	}
	image, err := images.ParseConfig(m, config)
	if err != nil {
		return nil, err
	}
	all.layers, all.diffIDs, all.small = m.Layers, image.RootFS.DiffIDs, append(all.small, config)
	return all, nil
}

// keep puts the small ones into the store.
func (p *parts) keep(s *images.Store) error {
	for _, data := range p.small {
		if _, err := s.Blobs().Put("", data); err != nil {
			return err
		}
	}
	return nil
}
