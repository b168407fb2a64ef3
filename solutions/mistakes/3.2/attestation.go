// Mistake: an attestation is taken for the image it speaks of
package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func ParseManifest(mediaType string, data []byte) (*v1.Manifest, error) {
	var m struct {
		v1.Manifest
		Manifests json.RawMessage `json:"manifests"`
	}
	if err := decode(data, &m); err != nil {
		return nil, err
	}
	if err := checkType(mediaType, m.MediaType, v1.MediaTypeImageManifest); err != nil {
		return nil, err
	}
	m.MediaType, m.Config.MediaType = v1.MediaTypeImageManifest, ociType(m.Config.MediaType)
	switch {
	case m.SchemaVersion != 2:
		return nil, fmt.Errorf("a manifest of schema %d: %w", m.SchemaVersion, errSchema1)
	case m.Manifests != nil:
		return nil, errors.New("a manifest with manifests, as an index has them")
	case len(m.Layers) > MaxLayers:
		return nil, fmt.Errorf("a manifest of %d layers: more than %d cannot be mounted", len(m.Layers), MaxLayers)
	case m.Config.MediaType != v1.MediaTypeImageConfig:
		return nil, fmt.Errorf("a manifest whose config is %q: an artifact, no container image", cut(m.Config.MediaType))
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		l.MediaType = ociType(l.MediaType)
		if !slices.Contains(layerTypes, l.MediaType) {
			return nil, fmt.Errorf("layer %d is %q: want a tar archive, plain, gzip or zstd", i+1, cut(l.MediaType))
		}
	}
	if err := checkAll(append(m.Layers, m.Config)...); err != nil {
		return nil, err
	}
	return &m.Manifest, nil
}

func checkType(outside, inside, want string) error {
	for _, t := range []string{outside, inside} {
		switch {
		case t == "" || ociType(t) == want:
		case strings.HasPrefix(t, dockerSchema1):
			return fmt.Errorf("media type %q: %w", cut(t), errSchema1)
		default:
			return fmt.Errorf("media type %q: want %q", cut(t), want)
		}
	}
	return nil
}

func ParseConfig(m *v1.Manifest, data []byte) (*v1.Image, error) {
	var c v1.Image
	if err := decode(data, &c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(c.RootFS.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("config: %d diff IDs for %d layers", len(c.RootFS.DiffIDs), len(m.Layers))
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := checkDigest(d); err != nil {
			return nil, fmt.Errorf("config: diff ID: %w", err)
		}
	}
	return &c, nil
}

func Select(index *v1.Index, want v1.Platform) (Descriptor, error) {
	able := runs(want)
	best, at := len(able)+1, -1
	var there []string
	for i, d := range index.Manifests {
		rank := len(able) // an entry that says no platform comes after those that do
		if d.Platform != nil {
			have := FormatPlatform(normalize(*d.Platform))
			there = append(there, have)
			rank = slices.IndexFunc(able, func(p v1.Platform) bool { return FormatPlatform(p) == have })
		}
		if rank >= 0 && rank < best {
			best, at = rank, i
		}
	}
	if at < 0 {
		return Descriptor{}, fmt.Errorf("no image for %s (there are: %q): %w", FormatPlatform(normalize(want)), cut(strings.Join(there, ", ")), ErrNotFound)
	}
	return index.Manifests[at], nil
}

func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	chain := slices.Clone(diffIDs)
	for i := 1; i < len(chain); i++ {
		chain[i] = digest.FromString(string(chain[i-1]) + " " + string(chain[i]))
	}
	return chain
}
