package images

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
)

// Of two layers without a name the upper one is in use: by a snapshot, or because a
// stranger's config claims it.
func keepsTheLayersBelow(t *testing.T) {
	for _, by := range []string{"a snapshot", "a config that names it alone", "that config, and a snapshot"} {
		s := newStore(t)
		img := putImage(t, s, "two:1", layerTar(t, layerFile{name: "low", text: "x"}), layerTar(t, layerFile{name: "high", text: "x"}))
		top, err := s.Unpack(t.Context(), img, nil)
		check.NoError(t, "Unpack", err)
		if strings.Contains(by, "snapshot") {
			_, err = s.Prepare(t.Context(), "container", top)
			check.NoError(t, "Prepare", err)
		}
		if strings.Contains(by, "config") {
			claims := putJSON(t, s, v1.MediaTypeImageConfig, v1.Image{RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{top}}})
			check.NoError(t, "Tag", s.Tag(t.Context(), "claims:1", putJSON(t, s, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, Config: claims})))
		}
		check.NoError(t, "Untag", s.Untag(t.Context(), "two:1"))
		c := collect(t, s, CollectOptions{})
		check.Equal(t, "layers removed, the upper of two is used by "+by, 0, c.Layers,
			check.Often(c.Layers == 1, "a layer is kept, but not those below it"), check.Often(true, noSnapshots))
		_, err = s.Lowers(top)
		check.NoError(t, "the layers used by "+by, err)
	}
}

// What cannot be read may be anything. Here it is a folder where a file should be.
func removesNothingUnread(t *testing.T) {
	for what, dir := range map[string]string{"a step": "cache/" + digestOf(1).Encoded(), "a snapshot's parent": "active/x/parent"} {
		s := newStore(t)
		img := putImage(t, s, "gone:1", layerTar(t, layerFile{name: "file", text: "x"}))
		_, err := s.Unpack(t.Context(), img, nil)
		check.NoError(t, "Unpack", err)
		check.NoError(t, "Untag", s.Untag(t.Context(), "gone:1"))
		check.NoError(t, "make "+dir, os.MkdirAll(s.Path(dir), 0o755))
		before := contents(t, s)
		_, err = tryCollect(t, s, CollectOptions{Steps: time.Hour})
		check.True(t, "Collect, "+what+" cannot be read", err != nil, "no error", "an error", check.Often(true, noneInUse))
		holds(t, s, "where "+what+" cannot be read", before, check.Often(true, noneInUse))
	}
}

const (
	noneInUse   = "an error on the way to what is in use is taken for nothing in use: all is swept"
	noSnapshots = "a snapshot's layers are in use, whatever has a name"
)

func keepsAnImageOfAnIndex(t *testing.T) {
	s := newStore(t)
	img := putImage(t, s, "plain:1", layerTar(t, layerFile{name: "file", text: "x"}))
	elsewhere := Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digestOf(1), Size: 5, Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}
	inner := putJSON(t, s, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []Descriptor{img.Manifest, elsewhere}})
	outer := putJSON(t, s, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []Descriptor{inner}})
	check.NoError(t, "Tag", s.Tag(t.Context(), "multi:1", outer))
	check.NoError(t, "Untag", s.Untag(t.Context(), "plain:1"))
	check.Equal(t, "Collect, an image is in an index in an index", Collected{}, collect(t, s, CollectOptions{}))
	_, err := s.Image("multi:1", HostPlatform())
	check.NoError(t, "the image", err)
}

// An image may say that its layer is another image's manifest. Whether the other's
// layers are kept must not depend on who is asked first.
func keepsAManifestThatIsCalledALayer(t *testing.T) {
	s := newStore(t)
	victim := putImage(t, s, "victim:1", layerTar(t, layerFile{name: "file", text: "x"}))
	for _, name := range []string{"a:1", "z:1"} {
		m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, Config: victim.Spec.Config,
			Layers: []Descriptor{{MediaType: v1.MediaTypeImageLayerGzip, Digest: victim.Manifest.Digest, Size: victim.Manifest.Size}}}
		check.NoError(t, "Tag", s.Tag(t.Context(), name, putJSON(t, s, v1.MediaTypeImageManifest, m)))
	}
	check.Equal(t, "Collect", Collected{}, collect(t, s, CollectOptions{}))
	check.True(t, "the victim's layer", s.Blobs().Has(victim.Layers[0].Digest), "gone", "there")
}

func collectsAmongHostileManifests(t *testing.T) {
	s := newStore(t)
	img := putImage(t, s, "good:1", layerTar(t, layerFile{name: "file", text: "x"}))
	for i, text := range []string{"", "{", `{"layers":7}`, `{"layers":[{"digest":7}]}`, `{"manifests":[{"digest":"sha256:../../index.json"}]}`,
		`{"rootfs":{"diff_ids":["../../../x",""]}}`, `{"layers":` + strings.Repeat("[", 1<<20), strings.Repeat("{", 5<<20), "null", "[]"} {
		check.NoError(t, "Tag", s.Tag(t.Context(), fmt.Sprint("hostile:", i), putBlob(t, s, v1.MediaTypeImageManifest, []byte(text))))
	}
	collect(t, s, CollectOptions{})
	check.True(t, "the good image's layer", s.Blobs().Has(img.Layers[0].Digest), "gone", "there")

	check.NoError(t, "damage a manifest", os.WriteFile(s.Blobs().Path(img.Manifest.Digest), []byte("{}"), 0o644))
	_, err := tryCollect(t, s, CollectOptions{})
	check.ErrorIs(t, "Collect, a manifest is damaged", err, ErrMismatch)
	check.True(t, "its layer", s.Blobs().Has(img.Layers[0].Digest), "gone", "there: what hangs on a damaged manifest is not known")

	check.NoError(t, "damage index.json", os.WriteFile(s.Path("index.json"), []byte("{"), 0o644))
	_, err = tryCollect(t, s, CollectOptions{})
	check.ErrorHas(t, "Collect, index.json is damaged", err, []string{"index.json"}, check.Often(true, noneInUse))
	check.True(t, "the good image's layer", s.Blobs().Has(img.Layers[0].Digest), "gone", "there")
}
