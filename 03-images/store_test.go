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
	"coracle/internal/sandbox"
)

// open opens a store, new or not, and gives an image of its own a name there.
func init() {
	helpers["open"] = func(arg ...string) error {
		s, err := Open(arg[0], Single)
		if err != nil {
			return err
		}
		d, err := s.Blobs().Put(v1.MediaTypeImageManifest, []byte(arg[1]))
		if err != nil {
			return err
		}
		return s.Tag(context.Background(), arg[1], d)
	}
}

func TestOpen_ProcessesAtOnce(t *testing.T) {
	sandbox.Need(t)
	const all = 4
	for range 10 {
		dir := filepath.Join(t.TempDir(), "store")
		ended := make(chan error, all)
		for i := range all {
			go func() {
				out, err := another(t.Context(), "open", dir, fmt.Sprint("image:", i)).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				ended <- err
			}()
		}
		for range all {
			_, err := check.Within(t, "a process that opens a store and names an image", "its end", func() (int, error) { return 0, <-ended })
			check.NoError(t, "a process that opens a store and names an image", err)
		}
		s, err := Open(dir, Single)
		check.NoError(t, "Open", err)
		tags, err := s.Tags()
		check.NoError(t, "Tags", err)
		check.Equal(t, "names after four processes opened a new store and gave one each", all, len(tags))
	}
}

func TestTags(t *testing.T) {
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
