package images

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ParseManifest reads a manifest: OCI's, or Docker's of schema 2, whose media types
// become OCI's. mediaType is what its descriptor or the registry said; "" if nobody
// said anything.
//
// Errors, each one line: more than MaxManifest bytes; an index, an artifact, Docker's
// schema 1; a media type inside that is another one than outside, "layers" and
// "manifests" at once (what it is must not depend on who reads it); layers that are
// to be fetched elsewhere (foreign, nondistributable) or of another type than tar,
// more than MaxLayers of them; sizes below 0; digests that are not sha256.
func ParseManifest(mediaType string, data []byte) (*v1.Manifest, error) {
	var m struct {
		v1.Manifest
		Manifests json.RawMessage `json:"manifests"`
	}
	if err := refParse(mediaType, data, &m, &m.MediaType, v1.MediaTypeImageManifest); err != nil {
		return nil, err
	}
	switch {
	case m.SchemaVersion != 2:
		return nil, fmt.Errorf("a manifest of schema %d: %w", m.SchemaVersion, errSchema1)
	case m.Manifests != nil:
		return nil, fmt.Errorf("a manifest with both layers and manifests")
	case len(m.Layers) > MaxLayers:
		return nil, fmt.Errorf("a manifest of %d layers: more than %d cannot be mounted", len(m.Layers), MaxLayers)
	}
	m.Config.MediaType = ociType(m.Config.MediaType)
	if m.Config.MediaType != v1.MediaTypeImageConfig {
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
	if err := refParse(mediaType, data, &x, &x.MediaType, v1.MediaTypeImageIndex); err != nil {
		return nil, err
	}
	switch {
	case x.SchemaVersion != 2:
		return nil, fmt.Errorf("an index of schema %d: %w", x.SchemaVersion, errSchema1)
	case x.Layers != nil || x.Config != nil:
		return nil, fmt.Errorf("an index with layers or a config")
	}
	for i := range x.Manifests {
		x.Manifests[i].MediaType = ociType(x.Manifests[i].MediaType)
	}
	if err := checkAll(x.Manifests...); err != nil {
		return nil, err
	}
	return &x.Index, nil
}

// ParseConfig reads an image's config: what to run, and the layers' diff IDs.
//
// Errors: not as many diff IDs as m has layers; one that is not sha256.
func ParseConfig(m *v1.Manifest, data []byte) (*v1.Image, error) {
	var c v1.Image
	if err := refParse("", data, &c, new(string), ""); err != nil {
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

// refParse reads JSON that must be of the type want, and is so by what is said
// outside and inside (image-spec, manifest.md, mediaType; CVE-2021-41190).
func refParse(outside string, data []byte, v any, inside *string, want string) error {
	if len(data) > MaxManifest {
		return fmt.Errorf("a manifest of %d bytes, %d are allowed: %w", len(data), MaxManifest, ErrTooLarge)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("no JSON of a manifest: %w", err)
	}
	for _, t := range []string{outside, *inside} {
		switch {
		case t == "" || want == "" || ociType(t) == want:
		case strings.HasPrefix(t, "application/vnd.docker.distribution.manifest.v1+"):
			return fmt.Errorf("media type %q: %w", t, errSchema1)
		default:
			return fmt.Errorf("media type %q: want %q", cut(t), want)
		}
	}
	*inside = want
	return nil
}

// Select returns the image of an index that fits a platform best. A processor that
// does more runs what is made for less: arm v7 takes v6, arm64 takes arm. An entry
// that says no platform comes last; attestations (unknown/unknown) never.
//
//	Select(index of amd64, arm v6 and arm v7, {linux, arm, v8}) → that of arm v7
//
// Errors: ErrNotFound, with the platforms that there are.
func Select(index *v1.Index, want v1.Platform) (Descriptor, error) {
	best, at := len(runs(want))+1, -1
	var there []string
	for i, d := range index.Manifests {
		rank := len(runs(want))
		if d.Platform != nil {
			have := normalize(*d.Platform)
			there = append(there, FormatPlatform(have))
			rank = slices.IndexFunc(runs(want), func(p v1.Platform) bool { return FormatPlatform(p) == FormatPlatform(have) })
		}
		if rank >= 0 && rank < best && !attestation(d) {
			best, at = rank, i
		}
	}
	if at < 0 {
		return Descriptor{}, fmt.Errorf("no image for %s (there are: %s): %w", FormatPlatform(normalize(want)), cut(strings.Join(there, ", ")), ErrNotFound)
	}
	return index.Manifests[at], nil
}

// ChainIDs returns what names each layer together with those below it
// (image-spec, config.md, "Layer ChainID").
//
//	ChainIDs([A B]) → [A, sha256 of "A B"]
func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	chain := slices.Clone(diffIDs)
	for i := 1; i < len(chain); i++ {
		chain[i] = digest.FromString(string(chain[i-1]) + " " + string(chain[i]))
	}
	return chain
}
