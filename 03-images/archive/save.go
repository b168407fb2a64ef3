package archive

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/03-images/remote"
)

// SaveOptions are what a writer of an archive may say.
type SaveOptions struct {
	// Platform saves this one alone of an image for several. Without it all that the
	// store has are saved, and docker load gets the one of this machine.
	Platform *v1.Platform
	Gzip     bool
	Progress images.Progress
}

// Save writes images, by their names in the store, as one archive of both layouts.
//
// Errors: ErrNotFound for an image that is not there, or not for this platform.
func Save(ctx context.Context, s *images.Store, w io.Writer, names []string, o SaveOptions) error {
	if o.Progress == nil {
		o.Progress = func(images.Event) {}
	}
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	sv := &saver{ctx: ctx, store: s, blobs: map[digest.Digest]images.Descriptor{}, layers: map[digest.Digest]bool{}, o: o, index: v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
	}}
	for _, name := range names {
		if err := sv.add(name); err != nil {
			return err
		}
	}
	if !o.Gzip {
		return sv.write(w)
	}
	z := gzip.NewWriter(w)
	return errors.Join(sv.write(z), z.Close())
}

// A saver knows what is to be in an archive before any of it is written.
type saver struct {
	ctx    context.Context
	store  *images.Store
	o      SaveOptions
	index  v1.Index
	docker []dockerImage
	blobs  map[digest.Digest]images.Descriptor
	layers map[digest.Digest]bool // those of blobs that are layers
	plain  []zstdLayer
}

// A zstdLayer is unpacked for docker load, which before version 23 reads gzip only.
type zstdLayer struct{ blob, plain images.Descriptor }

func (s *saver) add(name string) error {
	platform := images.HostPlatform()
	if s.o.Platform != nil {
		platform = *s.o.Platform
	}
	img, err := s.store.Image(name, platform)
	target := images.Descriptor{}
	switch {
	case err == nil && s.o.Platform == nil:
		target = img.Target
	case err == nil:
		target = img.Manifest
	case s.o.Platform != nil:
		return err
	default: // an index without this machine's platform: it is no image to docker
		if target, err = s.store.Tagged(name); err != nil {
			return err
		}
	}
	if err := s.reach(target, 0); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	if img != nil {
		if err := s.addDocker(name, img); err != nil {
			return err
		}
	}
	target.Annotations = nil
	if ref, err := remote.Parse(name); err == nil && ref.Tag != "" { // a digest is no name
		target.Annotations = map[string]string{v1.AnnotationRefName: ref.Tag, fullNameKey: name}
	}
	s.index.Manifests = append(s.index.Manifests, target)
	return nil
}

// reach notes a manifest or an index and all below it that the store has.
func (s *saver) reach(d images.Descriptor, depth int) error {
	if _, ok := s.blobs[d.Digest]; ok {
		return nil
	}
	data, err := s.store.Blobs().ReadAll(d, maxText)
	if err != nil {
		return err
	}
	s.blobs[d.Digest] = d
	if !images.IsIndex(d.MediaType) {
		m, err := images.ParseManifest(d.MediaType, data)
		if err != nil {
			return err
		}
		s.blobs[m.Config.Digest] = m.Config
		for _, l := range m.Layers {
			s.blobs[l.Digest], s.layers[l.Digest] = l, true
		}
		return nil
	}
	index, err := images.ParseIndex(d.MediaType, data)
	if err != nil {
		return err
	}
	for _, child := range index.Manifests {
		if !s.store.Blobs().Has(child.Digest) || attestation(child) {
			continue
		}
		if depth == maxDepth {
			return fmt.Errorf("%s: more than %d indexes in each other", d.Digest, maxDepth)
		}
		if err := s.reach(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// addDocker notes an image for docker load, whose names are of blobs as well.
func (s *saver) addDocker(name string, img *images.Image) error {
	d := dockerImage{Config: entryOf(img.ID), Layers: []string{}}
	if ref, err := remote.Parse(name); err == nil && ref.Tag != "" {
		d.RepoTags = []string{ref.Familiar()}
	}
	for i, layer := range img.Layers {
		file := layer.Digest
		if layer.MediaType == v1.MediaTypeImageLayerZstd {
			file = img.Config.RootFS.DiffIDs[i]
			s.plain = append(s.plain, zstdLayer{layer, images.Descriptor{Digest: file}})
		}
		d.Layers = append(d.Layers, entryOf(file))
	}
	s.docker = append(s.docker, d)
	return nil
}
