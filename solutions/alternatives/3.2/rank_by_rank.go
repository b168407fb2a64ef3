// Alternative: two readings of the JSON, the platforms asked one after another, and chains by recursion.
package images

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func ParseManifest(mediaType string, data []byte) (*v1.Manifest, error) {
	m, keys := new(v1.Manifest), map[string]json.RawMessage{}
	if err := decode(data, m); err != nil {
		return nil, err
	}
	if err := decode(data, &keys); err != nil {
		return nil, err
	}
	for key := range keys {
		if strings.EqualFold(key, "manifests") { // as encoding/json takes it
			return nil, fmt.Errorf("not only layers, but %q", cut(key))
		}
	}
	if err := checkType(mediaType, m.MediaType, v1.MediaTypeImageManifest); err != nil {
		return nil, err
	}
	if m.SchemaVersion != 2 {
		return nil, errSchema1
	}
	if n := len(m.Layers); n > MaxLayers {
		return nil, fmt.Errorf("%d layers, %d are allowed", n, MaxLayers)
	}
	m.MediaType = v1.MediaTypeImageManifest
	m.Config.MediaType = ociType(m.Config.MediaType)
	if is := m.Config.MediaType; is != v1.MediaTypeImageConfig {
		return nil, fmt.Errorf("an artifact, by its config: %q", cut(is))
	}
	known := strings.Join(layerTypes, " ") + " "
	for i, l := range m.Layers {
		m.Layers[i].MediaType = ociType(l.MediaType)
		if is := m.Layers[i].MediaType; is == "" || !strings.Contains(known, is+" ") {
			return nil, fmt.Errorf("layer %d: media type %q", i+1, cut(l.MediaType))
		}
	}
	for _, d := range append([]Descriptor{m.Config}, m.Layers...) {
		if err := checkAll(d); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func checkType(outside, inside, want string) error {
	if strings.HasPrefix(outside, dockerSchema1) || strings.HasPrefix(inside, dockerSchema1) {
		return errSchema1
	}
	said := map[string]bool{ociType(outside): true, ociType(inside): true}
	delete(said, "")
	delete(said, want)
	for other := range said {
		return fmt.Errorf("%q where %s is wanted", cut(other), want)
	}
	return nil
}

func ParseConfig(m *v1.Manifest, data []byte) (*v1.Image, error) {
	c := new(v1.Image)
	err := decode(data, c)
	switch ids := c.RootFS.DiffIDs; {
	case err != nil:
	case len(ids) != len(m.Layers):
		err = fmt.Errorf("%d layers have %d diff IDs", len(m.Layers), len(ids))
	default:
		for i := 0; i < len(ids) && err == nil; i++ {
			err = checkDigest(ids[i])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

func Select(index *v1.Index, want v1.Platform) (Descriptor, error) {
	fits := func(is string) *Descriptor {
		for i := range index.Manifests {
			d, has := &index.Manifests[i], ""
			if d.Platform != nil {
				has = FormatPlatform(normalize(*d.Platform))
			}
			if !attestation(*d) && has == is {
				return d
			}
		}
		return nil
	}
	for _, p := range runs(want) {
		if d := fits(FormatPlatform(p)); d != nil {
			return *d, nil
		}
	}
	if d := fits(""); d != nil {
		return *d, nil
	}
	there := ""
	for _, d := range index.Manifests {
		if d.Platform != nil {
			there += " " + FormatPlatform(*d.Platform)
		}
	}
	return Descriptor{}, fmt.Errorf("for %s: %w among%q", FormatPlatform(normalize(want)), ErrNotFound, cut(there))
}

func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	if len(diffIDs) < 2 {
		return append([]digest.Digest(nil), diffIDs...)
	}
	last := len(diffIDs) - 1
	below := ChainIDs(diffIDs[:last])
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s", below[last-1], diffIDs[last]))
	return append(below, digest.NewDigestFromBytes(digest.SHA256, sum[:]))
}
