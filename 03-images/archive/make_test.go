package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/internal/check"
)

func openStore(t testing.TB) *images.Store {
	t.Helper()
	s, err := images.Open(t.TempDir(), images.Single)
	check.NoError(t, "open a store", err)
	return s
}

// An entry of a test's archive; a Typeflag of 0 is a file.
type entry struct {
	tar.Header
	body string
}

func file(name, body string) entry { return entry{tar.Header{Name: name}, body} }

func link(name, to string) entry {
	return entry{tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}, ""}
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.Typeflag == 0 {
			e.Typeflag, e.Size = tar.TypeReg, int64(len(e.body))
		}
		e.Mode = 0o644
		check.NoError(t, "write a header", w.WriteHeader(&e.Header))
		_, err := w.Write([]byte(e.body))
		check.NoError(t, "write a file", err)
	}
	check.NoError(t, "end the archive", w.Close())
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func zstded(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

// A part is a blob with its descriptor.
type part struct {
	images.Descriptor
	data []byte
}

func blob(mediaType string, data []byte) part {
	return part{images.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data}
}

func document(mediaType string, v any) part {
	data, _ := json.Marshal(v)
	return blob(mediaType, data)
}

// picture is an image of two layers, packed as the media types say: its blobs, the
// manifest last.
func picture(t testing.TB, p v1.Platform, types ...string) []part {
	t.Helper()
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	config := v1.Image{Platform: p}
	config.RootFS.Type = "layers"
	var parts []part
	for i, mediaType := range types {
		plain := tarOf(t, file("name", p.Architecture+" "+string(rune('a'+i))))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		packed := plain
		switch mediaType {
		case v1.MediaTypeImageLayerGzip:
			packed = gzipped(plain)
		case v1.MediaTypeImageLayerZstd:
			packed = zstded(plain)
		}
		parts = append(parts, blob(mediaType, packed))
		m.Layers = append(m.Layers, parts[i].Descriptor)
	}
	c := document(v1.MediaTypeImageConfig, config)
	m.Config = c.Descriptor
	return append(parts, c, document(v1.MediaTypeImageManifest, m))
}

var amd64, arm64 = v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "arm64"}

// keep puts an image into a store and gives it a name.
func keep(t testing.TB, s *images.Store, name string, parts []part) images.Descriptor {
	t.Helper()
	for _, p := range parts {
		_, err := s.Blobs().Put(p.MediaType, p.data)
		check.NoError(t, "put a blob", err)
	}
	d := parts[len(parts)-1].Descriptor
	check.NoError(t, "tag", s.Tag(context.Background(), name, d))
	return d
}

// layout is an OCI archive of these blobs, the last of which is named.
func layout(t testing.TB, annotations map[string]string, parts []part) []byte {
	t.Helper()
	d := parts[len(parts)-1].Descriptor
	d.Annotations = annotations
	index := document("", v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{d}})
	entries := []entry{file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", string(index.data))}
	for _, p := range parts {
		entries = append(entries, file("blobs/sha256/"+p.Digest.Encoded(), string(p.data)))
	}
	return tarOf(t, entries...)
}
