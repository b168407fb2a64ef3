package archive

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

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

func (s *saver) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	layout, _ := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	index, err := json.Marshal(s.index)
	if err != nil {
		return err
	}
	docker, err := json.Marshal(s.docker)
	if err != nil {
		return err
	}
	for _, dir := range []string{v1.ImageBlobsDir, v1.ImageBlobsDir + "/sha256"} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
	}
	blobs := []images.Descriptor{}
	for _, d := range s.blobs {
		blobs = append(blobs, d)
	}
	slices.SortFunc(blobs, func(a, b images.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	for _, d := range blobs {
		if err := s.blob(tw, d); err != nil {
			return err
		}
	}
	for _, l := range s.plain {
		if err := s.unpacked(tw, l); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{v1.ImageLayoutFile, layout}, {"index.json", index}, {"manifest.json", docker}} {
		if f.name == "manifest.json" && len(s.docker) == 0 {
			continue
		}
		if err := s.header(tw, f.name, int64(len(f.data))); err != nil {
			return err
		}
		if _, err := tw.Write(f.data); err != nil {
			return err
		}
	}
	return tw.Close()
}

func (s *saver) header(tw *tar.Writer, name string, size int64) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size})
}

func (s *saver) blob(tw *tar.Writer, d images.Descriptor) error {
	r, err := s.store.Blobs().Open(d)
	if err != nil {
		return err
	}
	defer r.Close()
	fi, err := os.Stat(s.store.Blobs().Path(d.Digest))
	if err != nil {
		return err
	}
	if err := s.header(tw, entryOf(d.Digest), fi.Size()); err != nil {
		return err
	}
	tell := func(stage images.Stage, done int64) {
		if s.layers[d.Digest] {
			s.o.Progress(images.Event{Digest: d.Digest, Stage: stage, Done: done, Total: fi.Size()})
		}
	}
	var done int64
	_, err = io.Copy(tw, reader{s.ctx, counted{r, func(n int) {
		done += int64(n)
		tell(writing, done)
	}}})
	if err == nil {
		tell(images.Ready, done)
	}
	return err
}

// unpacked writes a layer without its compression. Its size is known only then, and
// stands before it: so it goes to the disk first.
func (s *saver) unpacked(tw *tar.Writer, l zstdLayer) error {
	if _, ok := s.blobs[l.plain.Digest]; ok {
		return nil
	}
	s.blobs[l.plain.Digest] = l.plain
	r, err := s.store.Blobs().Open(l.blob)
	if err != nil {
		return err
	}
	defer r.Close()
	plain, err := images.Decompress(l.blob.MediaType, r)
	if err != nil {
		return err
	}
	defer plain.Close()
	f, err := spool(s.store)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(reader{s.ctx, plain}, images.MaxBlob))
	if got := digest.NewDigest(digest.SHA256, hash); err == nil && got != l.plain.Digest {
		err = fmt.Errorf("layer %s: unpacked it is %s, not %s: %w", l.blob.Digest, got, l.plain.Digest, images.ErrMismatch)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = s.header(tw, entryOf(l.plain.Digest), size)
	}
	if err == nil {
		_, err = io.Copy(tw, f)
	}
	return err
}
