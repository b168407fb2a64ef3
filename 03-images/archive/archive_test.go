package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

var ctx = context.Background()

const demo = "docker.io/library/demo:1"

func load(t testing.TB, s *images.Store, data []byte) []Loaded {
	t.Helper()
	loaded, err := Load(ctx, s, bytes.NewReader(data), LoadOptions{})
	check.NoError(t, "load the archive", err)
	return loaded
}

func TestSave_IsLoadedAsItWas(t *testing.T) {
	exercise.NeedAll(t)
	s := openStore(t)
	one := keep(t, s, demo, picture(t, images.HostPlatform(), v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayerZstd))
	two := keep(t, s, "localhost:5000/other:2", picture(t, arm64, v1.MediaTypeImageLayer))
	for _, o := range []SaveOptions{{}, {Gzip: true}} {
		var a, b bytes.Buffer
		check.NoError(t, "save", Save(ctx, s, &a, []string{demo, "localhost:5000/other:2"}, o))
		check.NoError(t, "save again", Save(ctx, s, &b, []string{demo, "localhost:5000/other:2"}, o))
		check.True(t, "two archives of the same images", bytes.Equal(a.Bytes(), b.Bytes()), "differ", "equal, byte by byte")
		to := openStore(t)
		loaded := load(t, to, a.Bytes())
		check.Equal(t, "what was loaded", []Loaded{{demo, one}, {"localhost:5000/other:2", two}}, loaded)
		img, err := to.Image(demo, images.HostPlatform())
		check.NoError(t, "read the image", err)
		for _, l := range img.Layers {
			check.True(t, "layer "+string(l.Digest), to.Blobs().Has(l.Digest), "is not there", "is there")
		}
	}
	check.ErrorIs(t, "save what is not there", Save(ctx, s, io.Discard, []string{"docker.io/library/none:1"}, SaveOptions{}), images.ErrNotFound)
}

// The archive that docker load before version 23 reads: each layer it names can be
// read without zstd, and is what its name says.
func TestSave_NamesNoZstdLayerToDocker(t *testing.T) {
	exercise.NeedAll(t)
	s := openStore(t)
	keep(t, s, demo, picture(t, images.HostPlatform(), v1.MediaTypeImageLayerZstd, v1.MediaTypeImageLayerGzip))
	var b bytes.Buffer
	check.NoError(t, "save", Save(ctx, s, &b, []string{demo}, SaveOptions{}))
	e, err := open(ctx, s, &b, 1<<20)
	check.NoError(t, "open the archive", err)
	defer e.close()
	var list []dockerImage
	text, err := e.text("manifest.json")
	check.NoError(t, "read manifest.json", err)
	check.NoError(t, "parse it", json.Unmarshal(text, &list))
	check.Equal(t, "its tags", []string{"demo:1"}, list[0].RepoTags)
	for _, layer := range list[0].Layers {
		data, err := e.text(layer)
		check.NoError(t, "read "+layer, err)
		check.True(t, "the first bytes of "+layer, !bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}), "zstd", "gzip or tar")
	}
}

// docker save writes manifest.json last, and a layer of two images once.
func TestLoad_DockerSave(t *testing.T) {
	exercise.NeedAll(t)
	parts := picture(t, amd64, v1.MediaTypeImageLayer, v1.MediaTypeImageLayer)
	config := parts[2]
	data := tarOf(t,
		file(config.Digest.Encoded()+".json", string(config.data)),
		file("one/layer.tar", string(parts[0].data)), file("one/VERSION", "1.0"),
		link("two/layer.tar", "../three/layer.tar"), file("three/layer.tar", string(parts[1].data)),
		file("manifest.json", `[{"Config":"`+config.Digest.Encoded()+`.json","RepoTags":["demo:1","other.example/x:2"],"Layers":["one/layer.tar","two/layer.tar"]}]`),
		file("repositories", `{}`))
	name := t.TempDir() + "/demo.tar"
	check.NoError(t, "write the archive", os.WriteFile(name, data, 0o644))
	f, err := os.Open(name)
	check.NoError(t, "open the archive", err)
	defer f.Close()
	for what, r := range map[string]io.Reader{"a file": f, "a pipe": io.MultiReader(bytes.NewReader(data)), "gzip": bytes.NewReader(gzipped(data)), "zstd": bytes.NewReader(zstded(data))} {
		s := openStore(t)
		loaded, err := Load(ctx, s, r, LoadOptions{})
		check.NoError(t, "load from "+what, err)
		check.True(t, "the names from "+what, len(loaded) == 2 && loaded[0].Name == demo && loaded[1].Name == "other.example/x:2", loaded[0].Name, demo)
		img, err := s.Image(demo, amd64)
		check.NoError(t, "read the image from "+what, err)
		check.Equal(t, "its ID", config.Digest, img.ID)
		check.Equal(t, "its second layer", parts[1].Digest, img.Layers[1].Digest)
		left, err := os.ReadDir(s.Path("ingest"))
		check.True(t, "what is left on its way", err == nil && len(left) == 0, "files", "nothing")
	}
}

// Of an index, what the archive has is taken; what it has must be whole.
func TestLoad_SeveralPlatforms(t *testing.T) {
	exercise.NeedAll(t)
	a, b := picture(t, amd64, v1.MediaTypeImageLayerGzip), picture(t, arm64, v1.MediaTypeImageLayerZstd)
	absent := document(v1.MediaTypeImageManifest, "absent").Descriptor
	absent.Platform = &v1.Platform{OS: "linux", Architecture: "s390x"}
	note := document(v1.MediaTypeImageManifest, "no image").Descriptor
	note.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	entries := []v1.Descriptor{a[2].Descriptor, b[2].Descriptor, absent, note}
	entries[0].Platform, entries[1].Platform = &amd64, &arm64
	index := document(v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: entries})
	parts := append(append(a, b...), index)
	s := openStore(t)
	loaded := load(t, s, layout(t, map[string]string{fullNameKey: "demo:1", v1.AnnotationRefName: "1"}, parts))
	check.Equal(t, "what was loaded", []Loaded{{demo, index.Descriptor}}, loaded)
	for _, p := range []v1.Platform{amd64, arm64} {
		img, err := s.Image(demo, p)
		check.NoError(t, "read the image for "+p.Architecture, err)
		check.Equal(t, "its architecture", p.Architecture, img.Config.Architecture)
	}
	var all, one bytes.Buffer
	check.NoError(t, "save all of it", Save(ctx, s, &all, []string{demo}, SaveOptions{}))
	check.Equal(t, "all of it, loaded", index.Digest, load(t, openStore(t), all.Bytes())[0].Target.Digest)
	check.NoError(t, "save one platform", Save(ctx, s, &one, []string{demo}, SaveOptions{Platform: &arm64}))
	check.Equal(t, "one platform, loaded", b[2].Digest, load(t, openStore(t), one.Bytes())[0].Target.Digest)

	torn := append(append([]part{}, a...), b[1], b[2], index) // without arm64's layer
	_, err := Load(ctx, openStore(t), bytes.NewReader(layout(t, map[string]string{fullNameKey: "demo:1"}, torn)), LoadOptions{})
	check.ErrorIs(t, "load an index of which one image lacks a layer", err, images.ErrNotFound)
	_, err = Load(ctx, openStore(t), bytes.NewReader(layout(t, map[string]string{fullNameKey: "demo:1"}, []part{index})), LoadOptions{})
	check.ErrorIs(t, "load an index without images", err, images.ErrNotFound)
}

func TestLoad_Names(t *testing.T) {
	exercise.NeedAll(t)
	parts := picture(t, amd64, v1.MediaTypeImageLayerGzip)
	for _, c := range []struct {
		annotations map[string]string
		given, want string
	}{
		{map[string]string{v1.AnnotationRefName: "localhost:5000/a/b:c"}, "", "localhost:5000/a/b:c"},
		{map[string]string{v1.AnnotationRefName: "1", fullNameKey: demo}, "", demo},
		{map[string]string{v1.AnnotationRefName: "latest"}, "mine", "docker.io/library/mine:latest"},
		{nil, "mine:2", "docker.io/library/mine:2"},
		{nil, "", ""},
		{map[string]string{v1.AnnotationRefName: "latest"}, "", ""},
		{map[string]string{fullNameKey: "UPPER:1"}, "", ""},
		{nil, "UPPER:1", ""},
	} {
		s := openStore(t)
		loaded, err := Load(ctx, s, bytes.NewReader(layout(t, c.annotations, parts)), LoadOptions{Name: c.given})
		if c.want == "" {
			check.True(t, "an archive without a good name", err != nil, "no error", "an error")
			tags, _ := s.Tags()
			check.Equal(t, "names in the store", 0, len(tags))
			continue
		}
		check.NoError(t, "load", err)
		check.Equal(t, "its name", c.want, loaded[0].Name)
	}
}

func TestLoad_StopsWithItsContext(t *testing.T) {
	exercise.NeedAll(t)
	stopped, stop := context.WithCancel(ctx)
	stop()
	s := openStore(t)
	data := layout(t, map[string]string{fullNameKey: demo}, picture(t, amd64, v1.MediaTypeImageLayerGzip))
	_, err := Load(stopped, s, bytes.NewReader(data), LoadOptions{})
	check.ErrorIs(t, "load with a context that has ended", err, context.Canceled)
	check.Equal(t, "the next try", 1, len(load(t, s, data)))
}
