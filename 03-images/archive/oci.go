package archive

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/03-images/remote"
)

// maxDepth is how deep indexes may lie in each other. None that a tool makes goes
// beyond two.
const maxDepth = 4

// fullNameKey is the annotation in which containerd, Docker and BuildKit keep what
// ref.name is too short for: there it is the tag alone.
const fullNameKey = "io.containerd.image.name"

func (l *loader) oci() ([]Loaded, error) {
	text, err := l.entries.text("index.json")
	if err != nil {
		return nil, err
	}
	index, err := images.ParseIndex("", text)
	if err != nil {
		return nil, fmt.Errorf("archive: index.json: %w", err)
	}
	if len(index.Manifests) == 0 {
		return nil, errors.New("archive: index.json lists no image")
	}
	var found []Loaded
	for _, d := range index.Manifests {
		name, err := nameOf(d)
		if err != nil {
			return nil, err
		}
		d.Annotations = nil
		if err := l.walk(d, 0); err != nil {
			return nil, err
		}
		found = append(found, Loaded{name, d})
	}
	return found, nil
}

// nameOf is the full name of an image in index.json, "" if it does not say one: a tag
// alone does not.
func nameOf(d images.Descriptor) (string, error) {
	name := d.Annotations[fullNameKey]
	if ref := d.Annotations[v1.AnnotationRefName]; name == "" && strings.ContainsAny(ref, "/:") {
		name = ref
	}
	if name == "" {
		return "", nil
	}
	full, err := remote.Parse(name)
	if err != nil {
		return "", fmt.Errorf("archive: index.json: %w", err)
	}
	return full.String(), nil
}

// walk brings a manifest or an index into the store after all that it names. Each is
// walked once: an index may name the same one a thousand times, and so may that.
func (l *loader) walk(d images.Descriptor, depth int) error {
	if l.seen[d.Digest] {
		return nil
	}
	data, err := l.document(d)
	if err != nil {
		return err
	}
	if images.IsIndex(d.MediaType) {
		err = l.index(d, data, depth)
	} else {
		err = l.manifest(d, data)
	}
	if err != nil {
		return err
	}
	l.seen[d.Digest] = true
	_, err = l.blobs.Put(d.MediaType, data)
	return err
}

// index takes the images that the archive has whole; of one that it begins, all
// must be there.
func (l *loader) index(d images.Descriptor, data []byte, depth int) error {
	index, err := images.ParseIndex(d.MediaType, data)
	if err != nil {
		return fmt.Errorf("archive: %s: %w", d.Digest, err)
	}
	if depth == maxDepth {
		return fmt.Errorf("archive: %s: more than %d indexes in each other", d.Digest, maxDepth)
	}
	taken := 0
	for _, child := range index.Manifests {
		if _, ok := l.entries.find(entryOf(child.Digest)); !ok && !l.blobs.Has(child.Digest) || attestation(child) {
			continue
		}
		if err := l.walk(child, depth+1); err != nil {
			return err
		}
		taken++
	}
	if taken == 0 {
		return fmt.Errorf("archive: index %s: none of its %d images: %w", d.Digest, len(index.Manifests), images.ErrNotFound)
	}
	return nil
}

// attestation says whether an entry of an index is about an image (BuildKit's
// docs/attestations): nothing here reads it.
func attestation(d images.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown"
}

func (l *loader) manifest(d images.Descriptor, data []byte) error {
	m, err := images.ParseManifest(d.MediaType, data)
	if err != nil {
		return fmt.Errorf("archive: %s: %w", d.Digest, err)
	}
	text, err := l.document(m.Config)
	if err != nil {
		return err
	}
	if _, err := images.ParseConfig(m, text); err != nil {
		return fmt.Errorf("archive: %s: %w", m.Config.Digest, err)
	}
	for _, b := range append(m.Layers, m.Config) {
		if _, err := l.take(entryOf(b.Digest), b); err != nil {
			return err
		}
	}
	return nil
}

// document reads a manifest, an index or a config from the archive, or from the
// store if that has it already, and verifies it.
func (l *loader) document(d images.Descriptor) ([]byte, error) {
	data, err := l.entries.text(entryOf(d.Digest))
	if errors.Is(err, images.ErrNotFound) && l.blobs.Has(d.Digest) {
		return l.blobs.ReadAll(d, maxText)
	}
	if err == nil && (digest.FromBytes(data) != d.Digest || int64(len(data)) != d.Size) {
		err = fmt.Errorf("archive: %s of %d bytes: got %s of %d: %w", d.Digest, d.Size, digest.FromBytes(data), len(data), images.ErrMismatch)
	}
	return data, err
}

func entryOf(d digest.Digest) string { return v1.ImageBlobsDir + "/sha256/" + d.Encoded() }
