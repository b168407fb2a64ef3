package images

import (
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/exercise"
)

// Exercise 3.2: config, manifest, index, diff ID and chain ID
//
// An image is a tree of documents, each named by the digest of its bytes:
//
//	index ──▶ manifest of linux/arm64
//	   └────▶ manifest of linux/amd64 ──▶ config: what to run, the diff IDs [A B C]
//	                              └─────▶ layers: three blobs, packed tars
//
// One layer has three names. Its digest is that of the bytes as shipped, packed; its
// diff ID that of the tar inside, so packed anew it stays the same; its chain ID says
// which tars are below it as well, since what is unpacked depends on them:
//
//	chain IDs of [A B C]:  A,  sha256("A B") =: AB,  sha256("AB C")
//
// All of this comes from strangers: sizes may be lies, digests paths, and one document
// two things at once, so that the one who checks it and the one who runs it read
// different images (CVE-2021-41190).
//
// Spec: image-spec, manifest.md, image-index.md, config.md ("Layer ChainID").
//
// Delete this line when you start:
var _ = todo("3.2")

// ParseManifest reads a manifest: OCI's, or Docker's of schema 2, whose media types,
// its own, the config's and the layers', become OCI's. mediaType is what its
// descriptor or the registry said; "" if nobody said anything. A manifest need not
// name its own type.
//
// Errors, each one short line (what a stranger wrote is cut, and put in by %q: it may
// hold line breaks), and a nil manifest:
//   - ErrTooLarge: more than MaxManifest bytes. No JSON of a manifest.
//   - a media type that is another one (checkType): an index, Docker's schema 1
//   - errSchema1: a schemaVersion other than 2
//   - a key "manifests", whatever its value (even null), with layers or without: what it
//     is must not depend on who reads it
//   - more than MaxLayers layers; the error says how many
//   - a config of another type than v1.MediaTypeImageConfig, or of none: "an artifact",
//     with the type
//   - a layer of a type that is not in layerTypes (foreign, nondistributable, lz4, none, …),
//     with its number, "layer 1" the lowest, and the type
//   - sizes below 0 or above MaxBlob, digests that are not sha256 (checkAll)
//
// ParseIndex (index.go) is the same for an index: read it first.
// May use: decode, ociType, layerTypes, checkAll, cut; json.RawMessage.
func ParseManifest(mediaType string, data []byte) (*v1.Manifest, error) {
	return nil, exercise.Unwritten("3.2")
}

// checkType says whether a document is of the OCI type want, by what is said of it
// outside (descriptor, Content-Type) and inside ("mediaType"). Either may be "", which
// says nothing, and either may be Docker's name of the type (ociType).
//
//	checkType("", dockerList, v1.MediaTypeImageIndex) → nil
//	checkType(v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, either of the two) → an error
//
// Errors: errSchema1, if one begins with dockerSchema1; any other type, naming it (cut).
func checkType(outside, inside, want string) error {
	return exercise.Unwritten("3.2")
}

// ParseConfig reads an image's config: what to run, and the layers' diff IDs, the
// lowest first, as m has the layers.
//
// Errors, each beginning with "config": what decode says; not as many diff IDs as m
// has layers; one that is not sha256.
// May use: decode, checkDigest.
func ParseConfig(m *v1.Manifest, data []byte) (*v1.Image, error) {
	return nil, exercise.Unwritten("3.2")
}

// Select returns the image of an index that fits a platform best. A processor that
// does more runs what is made for less: arm v7 takes v6, arm64 takes arm. runs lists
// what want runs, the best first; of two that are as good, the first in the index is
// taken. An entry that says no platform comes after all that fit; attestations, which
// are about an image and none themselves, never.
//
//	Select(index of amd64, arm v6 and arm v7, {linux, arm, v8}) → that of arm v7
//
// Errors: ErrNotFound, with want (FormatPlatform) and the platforms that there are, in
// one short line.
// May use: runs, normalize (one platform has many spellings: an entry's must be
// brought to the one that runs uses), FormatPlatform, attestation, cut.
func Select(index *v1.Index, want v1.Platform) (Descriptor, error) {
	return Descriptor{}, exercise.Unwritten("3.2")
}

// ChainIDs returns what names each layer together with those below it. The lowest
// layer's is its diff ID; each other's is the sha256 of the text "CHAIN DIFF", the
// chain ID below and its own diff ID with "sha256:" and one space between. diffIDs
// stays as it is.
//
//	ChainIDs([A B]) → [A, sha256 of "A B"]; ChainIDs(nil) → none
//
// May use: digest.FromString.
//
// Done when: `./lab test 3.2` is green.
func ChainIDs(diffIDs []digest.Digest) []digest.Digest { return nil }
