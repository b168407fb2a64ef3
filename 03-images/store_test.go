package images

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestOpen_ManyAtOnce(t *testing.T) {
	exercise.NeedAll(t)
	const all = 8
	for range 20 {
		dir := filepath.Join(t.TempDir(), "store")
		begin, ended := make(chan struct{}), make(chan error, all)
		for i := range all {
			go func() {
				<-begin
				s, err := Open(dir, Single)
				if err == nil {
					_, err = s.Blobs().Put(v1.MediaTypeImageManifest, text)
				}
				if err == nil {
					err = s.Tag(context.Background(), fmt.Sprint("image:", i), descriptor(text))
				}
				ended <- err
			}()
		}
		close(begin)
		for range all {
			_, err := check.Within(t, "to open a store and name an image", "its end", func() (int, error) { return 0, <-ended })
			check.NoError(t, "to open a store and name an image", err)
		}
		s, err := Open(dir, Single)
		check.NoError(t, "Open", err)
		tags, err := s.Tags()
		check.NoError(t, "Tags", err)
		check.Equal(t, "names after eight opened a new store at once and gave one each", all, len(tags))
	}
}

func TestTags(t *testing.T) {
	exercise.NeedAll(t)
	s := newStore(t)
	d := putBlob(t, s, v1.MediaTypeImageManifest, text)
	other := putBlob(t, s, v1.MediaTypeImageManifest, []byte("another"))
	for _, name := range []string{"b:1", "a:1", "b:1"} {
		check.NoError(t, "Tag", s.Tag(t.Context(), name, d))
	}
	check.NoError(t, "Tag, the name moves", s.Tag(t.Context(), "b:1", other))
	got, err := s.Tagged("b:1")
	check.NoError(t, "Tagged", err)
	check.Equal(t, "Tagged", other, got)
	tags, err := s.Tags()
	check.NoError(t, "Tags", err)
	check.Equal(t, "names, sorted", "a:1 b:1", tags[0].Annotations[nameKey]+" "+tags[1].Annotations[nameKey])
	check.ErrorIs(t, "Untag of what has no name", s.Untag(t.Context(), "c:1"), ErrNotFound)
	check.True(t, "Tag of a blob that is not there", s.Tag(t.Context(), "c:1", descriptor([]byte("nowhere"))) != nil, "no error", "an error")
	check.NoError(t, "Untag", s.Untag(t.Context(), "a:1"))
	_, err = s.Tagged("a:1")
	check.ErrorIs(t, "Tagged afterwards", err, ErrNotFound)

	var layout v1.ImageLayout
	data, err := os.ReadFile(s.Path("oci-layout"))
	check.NoError(t, "read oci-layout", err)
	check.NoError(t, "parse oci-layout", json.Unmarshal(data, &layout))
	check.Equal(t, "its version", v1.ImageLayoutVersion, layout.Version)
	check.NoError(t, "damage index.json", os.WriteFile(s.Path("index.json"), []byte("{"), 0o644))
	_, err = s.Tags()
	check.ErrorHas(t, "Tags of a damaged index", err, []string{"index.json"})
	_, err = s.Collect(t.Context(), CollectOptions{})
	check.ErrorHas(t, "Collect with a damaged index", err, []string{"index.json"})
	check.True(t, "the blobs then", s.Blobs().Has(other.Digest), "gone", "there")
}

// Whatever is called an image: it is read or refused, Collect removes nothing else,
// and neither reaches outside.
func FuzzStore(f *testing.F) {
	exercise.NeedAll(f)
	f.Add(manifestText(), []byte(`{"rootfs":{"type":"layers","diff_ids":[]}}`))
	f.Add(dockerText(), []byte(`{"rootfs":{"diff_ids":["sha256:../../x","sha256:00"]}}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:../../index.json","size":1}]}`), []byte("{"))
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"sha256:../../oci-layout"},"layers":[{"digest":""}]}`), []byte("null"))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		s := newStore(t)
		good := putImage(t, s, "good:1", layerTar(t, layerFile{name: "file", text: "x"}))
		c := putBlob(t, s, v1.MediaTypeImageConfig, config)
		m := good.Spec
		m.Config = c
		for i, d := range []Descriptor{putBlob(t, s, v1.MediaTypeImageManifest, manifest), putJSON(t, s, v1.MediaTypeImageManifest, m)} {
			name := fmt.Sprint("foreign:", i)
			check.NoError(t, "Tag", s.Tag(t.Context(), name, d))
			if img, err := s.Image(name, HostPlatform()); err == nil && len(img.Layers) != len(img.Config.RootFS.DiffIDs) {
				t.Fatalf("an image of %d layers and %d diff IDs", len(img.Layers), len(img.Config.RootFS.DiffIDs))
			}
		}
		collect(t, s, CollectOptions{})
		check.True(t, "the blobs of the good image", s.Blobs().Has(good.ID) && s.Blobs().Has(good.Layers[0].Digest), "gone", "there")
		check.Equal(t, "the store's own files", "active blobs cache index.json index.lock ingest layers lock oci-layout", list(t, s.Path()))
	})
}
