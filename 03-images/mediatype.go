package images

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"

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

// HostPlatform returns the platform that this program runs on.
func HostPlatform() v1.Platform {
	return normalize(v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH})
}

// ParsePlatform reads OS/ARCH[/VARIANT], or ARCH alone.
//
//	ParsePlatform("linux/arm/v7") → {linux, arm, v7}
func ParsePlatform(text string) (v1.Platform, error) {
	part := strings.Split(text, "/")
	if len(part) == 1 {
		part = []string{"linux", text}
	}
	p := v1.Platform{OS: part[0], Architecture: part[1]}
	if len(part) == 3 {
		p.Variant = part[2]
	}
	if len(part) > 3 || p.OS == "" || p.Architecture == "" || len(part) == 3 && p.Variant == "" {
		return p, errors.New("platform " + cut(text) + ": want OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64")
	}
	return normalize(p), nil
}

// FormatPlatform is ParsePlatform backwards.
func FormatPlatform(p v1.Platform) string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// normalize gives a platform the one spelling that is compared: that of GOOS and
// GOARCH, and no variant where it is the usual one (containerd/platforms, database.go).
func normalize(p v1.Platform) v1.Platform {
	os, arch, variant := strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	switch arch {
	case "i386":
		arch, variant = "386", ""
	case "x86_64", "x86-64", "amd64":
		arch = "amd64"
		if variant == "v1" {
			variant = ""
		}
	case "aarch64", "arm64":
		arch = "arm64"
		if variant == "8" || variant == "v8" {
			variant = ""
		}
	case "armhf":
		arch, variant = "arm", "v7"
	case "armel":
		arch, variant = "arm", "v6"
	case "arm":
		switch variant {
		case "", "7":
			variant = "v7"
		case "5", "6", "8":
			variant = "v" + variant
		}
	}
	return v1.Platform{OS: os, Architecture: arch, Variant: variant, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures}
}
