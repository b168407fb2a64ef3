package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Descriptor is a blob's media type, digest and size (image-spec, descriptor.md).
type Descriptor = v1.Descriptor

// ErrNotFound: no image, blob or layer of this name is in the store.
var ErrNotFound = errors.New("not found")

// An entry of index.json without a name is not an image but a half one: none is written.
const nameKey = v1.AnnotationRefName

// Tags lists the images that have a name, each by its full reference in the
// annotation org.opencontainers.image.ref.name, sorted by it.
func (s *Store) Tags() ([]Descriptor, error) {
	index, err := s.readIndex()
	return index.Manifests, err
}

// Tagged returns what a name stands for, without the annotation.
func (s *Store) Tagged(name string) (Descriptor, error) {
	index, err := s.readIndex()
	if err != nil {
		return Descriptor{}, err
	}
	for _, d := range index.Manifests {
		if d.Annotations[nameKey] == name {
			d.Annotations = nil
			return d, nil
		}
	}
	return Descriptor{}, fmt.Errorf("image %s: %w", name, ErrNotFound)
}

// Tag gives a manifest or an index that is in the store a name. A name that
// stood for something else moves.
//
// Errors: ErrMismatch for a name with another digest than d's.
func (s *Store) Tag(ctx context.Context, name string, d Descriptor) error {
	if name == "" {
		return errors.New("tag: an empty name")
	}
	// Whoever asks for a name with a digest must not get anything else by it.
	if _, want, ok := strings.Cut(name, "@"); ok && want != string(d.Digest) {
		return fmt.Errorf("tag %s: it is %s: %w", name, d.Digest, ErrMismatch)
	}
	if _, err := os.Stat(s.Blobs().Path(d.Digest)); err != nil {
		return fmt.Errorf("tag %s: %w", name, err)
	}
	d.Annotations = map[string]string{nameKey: name}
	return s.changeIndex(ctx, func(list []Descriptor) ([]Descriptor, error) {
		return append(without(list, name), d), nil
	})
}

// Untag takes a name away; what it stood for goes with the next Collect.
func (s *Store) Untag(ctx context.Context, name string) error {
	return s.changeIndex(ctx, func(list []Descriptor) ([]Descriptor, error) {
		rest := without(list, name)
		if len(rest) == len(list) {
			return nil, fmt.Errorf("image %s: %w", name, ErrNotFound)
		}
		return rest, nil
	})
}

func without(list []Descriptor, name string) []Descriptor {
	return slices.DeleteFunc(slices.Clone(list), func(d Descriptor) bool { return d.Annotations[nameKey] == name })
}

func (s *Store) changeIndex(ctx context.Context, change func([]Descriptor) ([]Descriptor, error)) error {
	unlock, err := lock(ctx, s.Path("index.lock"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	if index.Manifests, err = change(index.Manifests); err != nil {
		return err
	}
	slices.SortFunc(index.Manifests, func(a, b Descriptor) int {
		if a.Annotations[nameKey] < b.Annotations[nameKey] {
			return -1
		}
		return 1
	})
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(s.Path("index.json"), text)
}

func (s *Store) readIndex() (v1.Index, error) {
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []Descriptor{}}
	text, err := os.ReadFile(s.Path("index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return index, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	if err != nil {
		return index, fmt.Errorf("%s: %w", s.Path("index.json"), err)
	}
	return index, nil
}

// writeLayout makes the two files of an image layout. Another process may be doing
// so at this moment, and may have given a name by now.
func (s *Store) writeLayout() error {
	file := s.Path(v1.ImageLayoutFile)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	err := s.changeIndex(context.Background(), func(list []Descriptor) ([]Descriptor, error) { return list, nil })
	if err != nil {
		return err
	}
	return WriteFile(file, []byte(`{"imageLayoutVersion":"`+v1.ImageLayoutVersion+`"}`))
}
