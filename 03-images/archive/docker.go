package archive

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/03-images/remote"
)

// An entry of manifest.json is one image of docker save (moby, image/tarexport):
//
//	[{"Config": "HEX.json", "RepoTags": ["demo:1"], "Layers": ["ID/layer.tar", …]}]
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker makes a manifest for each image of docker save, which has none. Its layers
// stay as they are: their digests are the diff IDs.
func (l *loader) docker() ([]Loaded, error) {
	text, err := l.entries.text("manifest.json")
	if err != nil {
		return nil, err
	}
	var list []dockerImage
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("archive: manifest.json: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("archive: manifest.json lists no image")
	}
	var found []Loaded
	for _, i := range list {
		target, err := l.dockerImage(i)
		if err != nil {
			return nil, err
		}
		if len(i.RepoTags) == 0 {
			i.RepoTags = []string{""}
		}
		for _, tag := range i.RepoTags {
			name := Loaded{Target: target}
			if tag != "" {
				ref, err := remote.Parse(tag)
				if err != nil {
					return nil, fmt.Errorf("archive: manifest.json: %w", err)
				}
				name.Name = ref.String()
			}
			found = append(found, name)
		}
	}
	return found, nil
}

func (l *loader) dockerImage(i dockerImage) (images.Descriptor, error) {
	none := images.Descriptor{}
	text, err := l.entries.text(i.Config)
	if err != nil {
		return none, err
	}
	m := &v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: images.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(text), Size: int64(len(text))},
		Layers: make([]images.Descriptor, len(i.Layers)),
	}
	config, err := images.ParseConfig(m, text)
	if err != nil {
		return none, fmt.Errorf("archive: %s: %w", i.Config, err)
	}
	for n, entry := range i.Layers {
		if m.Layers[n], err = l.dockerLayer(entry, config.RootFS.DiffIDs[n]); err != nil {
			return none, err
		}
	}
	if _, err := l.blobs.Put(v1.MediaTypeImageConfig, text); err != nil {
		return none, err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return none, err
	}
	if _, err := images.ParseManifest(m.MediaType, data); err != nil {
		return none, fmt.Errorf("archive: %s: %w", i.Config, err)
	}
	return l.blobs.Put(m.MediaType, data)
}

// dockerLayer takes a layer, which other tools than docker may have compressed: its
// digest is then found out, and its diff ID is compared when it is unpacked.
func (l *loader) dockerLayer(entry string, diffID digest.Digest) (images.Descriptor, error) {
	r, ok := l.entries.section(entry)
	if !ok {
		return images.Descriptor{}, fmt.Errorf("archive: %s: %w", entry, images.ErrNotFound)
	}
	want := images.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: diffID, Size: r.Size()}
	var magic [4]byte
	r.ReadAt(magic[:], 0)
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		want = images.Descriptor{MediaType: v1.MediaTypeImageLayerGzip}
	case string(magic[:]) == "\x28\xb5\x2f\xfd":
		want = images.Descriptor{MediaType: v1.MediaTypeImageLayerZstd}
	}
	return l.take(entry, want)
}
