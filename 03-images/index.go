package images

import (
	"encoding/json"
	"fmt"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ParseIndex reads an index of images: OCI's, or Docker's manifest list.
//
// Errors: as ParseManifest's. What the images in it are is not looked at: one that
// nobody asks for may be of a kind that is not known here.
func ParseIndex(mediaType string, data []byte) (*v1.Index, error) {
	var x struct {
		v1.Index
		Layers json.RawMessage `json:"layers"`
		Config json.RawMessage `json:"config"`
	}
	if err := decode(data, &x); err != nil {
		return nil, err
	}
	if err := checkType(mediaType, x.MediaType, v1.MediaTypeImageIndex); err != nil {
		return nil, err
	}
	switch {
	case x.SchemaVersion != 2:
		return nil, fmt.Errorf("an index of schema %d: %w", x.SchemaVersion, errSchema1)
	case x.Layers != nil || x.Config != nil:
		return nil, fmt.Errorf("an index with layers or a config")
	}
	x.MediaType = v1.MediaTypeImageIndex
	for i := range x.Manifests {
		x.Manifests[i].MediaType = ociType(x.Manifests[i].MediaType)
	}
	if err := checkAll(x.Manifests...); err != nil {
		return nil, err
	}
	return &x.Index, nil
}

// decode reads the JSON of a manifest, an index or a config.
//
// Errors: ErrTooLarge for more than MaxManifest bytes.
func decode(data []byte, v any) error {
	if len(data) > MaxManifest {
		return fmt.Errorf("a manifest of %d bytes, %d are allowed: %w", len(data), MaxManifest, ErrTooLarge)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("no JSON of a manifest: %s", cut(err.Error())) // which holds what a stranger wrote
	}
	return nil
}
