package images

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// An Image is one that is in the store, read: what a name stands for, for one platform.
type Image struct {
	Name       string        // "" if it was found by a digest alone
	Target     Descriptor    // what the name stands for: an index or a manifest
	Manifest   Descriptor    // of the platform
	Layers     []Descriptor  // as shipped, the lowest first
	ID         digest.Digest // of the config: what docker calls the image's ID
	Spec       v1.Manifest
	Config     v1.Image
	ConfigJSON []byte // with what Docker adds to it and image-spec does not know
}

// Chain returns the chain ID of the topmost layer; "" for an image without layers.
func (i *Image) Chain() digest.Digest {
	chain := ChainIDs(i.Config.RootFS.DiffIDs)
	if len(chain) == 0 {
		return ""
	}
	return chain[len(chain)-1]
}

// maxIndexes is how deep an index may be in an index.
const maxIndexes = 4

// Image finds an image by its full name, by the digest of its manifest, index or
// config, or by the beginning of one, four digits at least, that only one image has.
//
// Errors: ErrNotFound, also if a part of it is not in the store.
func (s *Store) Image(name string, p v1.Platform) (*Image, error) {
	target, err := s.Tagged(name)
	if err == nil {
		return s.read(name, target, p)
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	prefix, found := strings.ToLower(strings.TrimPrefix(name, "sha256:")), []*Image{}
	if len(prefix) < 4 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, err
	}
	tags, e := s.Tags()
	if e != nil {
		return nil, e
	}
	for _, t := range tags {
		name := t.Annotations[nameKey]
		t.Annotations = nil
		img, e := s.read(name, t, p)
		has := func(d digest.Digest) bool { return strings.HasPrefix(d.Encoded(), prefix) }
		if e != nil {
			if has(t.Digest) {
				return nil, e
			}
			continue
		}
		if has(t.Digest) || has(img.Manifest.Digest) || has(img.ID) {
			found = append(found, img)
		}
	}
	for _, img := range found {
		if img.Manifest.Digest != found[0].Manifest.Digest {
			return nil, fmt.Errorf("image %s: it begins the IDs of %s and of %s: write more digits", name, found[0].Name, img.Name)
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	if d := digest.Digest("sha256:" + prefix); len(prefix) == 64 && s.Blobs().Has(d) {
		return s.read("", Descriptor{Digest: d, Size: -1}, p)
	}
	return nil, err
}

// read reads manifest and config.
func (s *Store) read(name string, target Descriptor, p v1.Platform) (*Image, error) {
	img := &Image{Name: name, Target: target, Manifest: target}
	err := s.readManifest(img, p)
	if err == nil {
		img.Layers, img.ID = img.Spec.Layers, img.Spec.Config.Digest
		if img.ConfigJSON, err = s.Blobs().ReadAll(img.Spec.Config, MaxManifest); err == nil {
			var c *v1.Image
			if c, err = ParseConfig(&img.Spec, img.ConfigJSON); err == nil {
				img.Config = *c
			}
		}
	}
	if err != nil {
		if name == "" {
			name = string(target.Digest)
		}
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	return img, nil
}

// readManifest follows indexes to the manifest of the platform.
func (s *Store) readManifest(img *Image, p v1.Platform) error {
	for range maxIndexes {
		data, err := s.Blobs().ReadAll(img.Manifest, MaxManifest)
		if err != nil {
			return err
		}
		if img.Manifest.Size < 0 {
			img.Manifest.Size = int64(len(data))
		}
		if img.Manifest.MediaType == "" {
			img.Manifest.MediaType = guessType(data)
		}
		if img.Target.Digest == img.Manifest.Digest {
			img.Target = img.Manifest
		}
		if !IsIndex(img.Manifest.MediaType) {
			m, err := ParseManifest(img.Manifest.MediaType, data)
			if err == nil {
				img.Spec = *m
			}
			return err
		}
		index, err := ParseIndex(img.Manifest.MediaType, data)
		if err != nil {
			return err
		}
		if img.Manifest, err = Select(index, p); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d indexes in one another", maxIndexes)
}
