package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/dockerd"
	"coracle/internal/exercise"
)

// small puts an image of one layer into a store.
func small(t *testing.T, s *images.Store, name, mediaType string, layer []byte, diffID digest.Digest) (id images.Descriptor) {
	t.Helper()
	put := func(mediaType string, data []byte) images.Descriptor {
		d, err := s.Blobs().Put(mediaType, data)
		check.NoError(t, "put a blob", err)
		return d
	}
	document := func(mediaType string, v any) images.Descriptor {
		data, err := json.Marshal(v)
		check.NoError(t, "make JSON", err)
		return put(mediaType, data)
	}
	id = document(v1.MediaTypeImageConfig, v1.Image{Platform: images.HostPlatform(), RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}})
	manifest := document(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: id, Layers: []v1.Descriptor{put(mediaType, layer)},
	})
	check.NoError(t, "tag", s.Tag(context.Background(), name, manifest))
	return id
}

// An Engine from before version 23 knows no zstd: it is given such a layer unpacked.
func TestEngine_TakesAZstdLayer(t *testing.T) {
	exercise.NeedAll(t)
	d := dockerd.Start(t)
	ctx := context.Background()
	s, err := images.Open(t.TempDir(), images.Kernel)
	check.NoError(t, "open a store", err)
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	check.NoError(t, "make a layer", w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Typeflag: tar.TypeReg}))
	check.NoError(t, "make a layer", w.Close())
	enc, err := zstd.NewWriter(nil)
	check.NoError(t, "zstd", err)
	id := small(t, s, "docker.io/library/small:1", v1.MediaTypeImageLayerZstd, enc.EncodeAll(layer.Bytes(), nil), digest.FromBytes(layer.Bytes()))
	e, err := Connect(ctx, d.Host)
	check.NoError(t, "connect to the Engine", err)
	defer e.Close()
	_, err = e.Export(ctx, s, []string{"docker.io/library/small:1"}, nil)
	check.NoError(t, "export it", err)
	check.Equal(t, "the Engine's ID of it", string(id.Digest), strings.TrimSpace(d.Docker("image", "inspect", "-f", "{{.Id}}", "small:1")))

	// What it refuses it says in the middle of an answer that began well.
	garbage := []byte(strings.Repeat("no tar archive ", 100))
	small(t, s, "docker.io/library/bad:1", v1.MediaTypeImageLayer, garbage, digest.FromBytes(garbage))
	_, err = e.Export(ctx, s, []string{"docker.io/library/bad:1"}, nil)
	check.ErrorHas(t, "export an image whose layer is no tar archive", err, []string{"docker engine", "tar"})
}
