package images

import (
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// MaxManifest is the largest manifest, index or config that is read, in bytes
	// (distribution-spec, "Pushing Manifests": registries take 4 MiB at least).
	MaxManifest = 4 << 20
	// MaxLayers keeps the options of an overlay mount within one page.
	MaxLayers = 200
	// MaxBlob keeps sums of sizes far from overflow: 1 TiB.
	MaxBlob = 1 << 40
)

var errSchema1 = errors.New("Docker's schema 1 is from before 2016 and not read here: push the image anew with a newer docker")

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1+" // json or prettyjws
)

var layerTypes = []string{v1.MediaTypeImageLayer, v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayerZstd}

// ociType translates Docker's media types; all else stays.
func ociType(t string) string {
	switch t {
	case dockerManifest:
		return v1.MediaTypeImageManifest
	case dockerList:
		return v1.MediaTypeImageIndex
	case "application/vnd.docker.container.image.v1+json":
		return v1.MediaTypeImageConfig
	case "application/vnd.docker.image.rootfs.diff.tar":
		return v1.MediaTypeImageLayer
	case "application/vnd.docker.image.rootfs.diff.tar.gzip":
		return v1.MediaTypeImageLayerGzip
	case "application/vnd.docker.image.rootfs.diff.tar.zstd":
		return v1.MediaTypeImageLayerZstd
	}
	return t
}

// IsIndex says whether a media type is that of several images.
func IsIndex(mediaType string) bool { return ociType(mediaType) == v1.MediaTypeImageIndex }

// guessType says what a manifest is of which nobody said it: an old one need not
// name its own type (image-spec, manifest.md, mediaType).
func guessType(data []byte) string {
	var m struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	switch json.Unmarshal(data, &m); {
	case m.MediaType != "":
		return m.MediaType
	case m.Manifests != nil:
		return v1.MediaTypeImageIndex
	}
	return v1.MediaTypeImageManifest
}

// attestation says whether an entry of an index is about an image and none itself.
func attestation(d Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] != "" ||
		d.Platform != nil && (d.Platform.OS == "unknown" || d.Platform.Architecture == "unknown")
}

// checkAll refuses descriptors that nothing true could have.
func checkAll(list ...Descriptor) error {
	for _, d := range list {
		if err := checkDigest(d.Digest); err != nil {
			return err
		}
		if d.Size < 0 || d.Size > MaxBlob {
			return fmt.Errorf("%s: a size of %d bytes", d.Digest, d.Size)
		}
	}
	return nil
}
