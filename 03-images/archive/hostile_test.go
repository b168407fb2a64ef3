package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

// Each archive is refused in one line that names what is wrong; no image gets a name,
// and nothing but blobs is written.
func TestLoad_Hostile(t *testing.T) {
	exercise.NeedAll(t)
	good := picture(t, amd64, v1.MediaTypeImageLayerGzip)
	layer, config, manifest := good[0], good[1], good[2]
	named := map[string]string{fullNameKey: demo}
	with := func(parts ...part) []byte { return layout(t, named, parts) }
	whole := with(good...)
	wrong := func(p part, data string) part { return part{p.Descriptor, []byte(data)} }
	deep := good
	for range maxDepth + 1 {
		last := deep[len(deep)-1].Descriptor
		deep = append(deep[:len(deep):len(deep)], document(v1.MediaTypeImageIndex, v1.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{last}}))
	}
	lies := v1.Manifest{}
	check.NoError(t, "parse", json.Unmarshal(manifest.data, &lies))
	lies.Layers[0].Size = 1
	small := document(v1.MediaTypeImageManifest, lies)
	lies.Layers[0].Size = -1
	negative := document(v1.MediaTypeImageManifest, lies)
	docker := func(list string, more ...entry) []byte {
		return tarOf(t, append(more, file("c.json", string(config.data)), file("manifest.json", list))...)
	}
	other := string(tarOf(t, file("other", "")))
	for what, c := range map[string]struct {
		data []byte
		has  string
	}{
		"nothing":                     {nil, "neither"},
		"no archive":                  {[]byte("hello, this is text"), "archive"},
		"an archive of something":     {tarOf(t, file("etc/passwd", "x")), "manifest.json"},
		"a name that leads up":        {tarOf(t, file("../x", "x")), `"../x"`},
		"a hidden name that leads up": {tarOf(t, file("a/../../x", "x")), "leads out"},
		"an absolute name":            {tarOf(t, file("/etc/passwd", "x")), `"/etc/passwd"`},
		"a device":                    {tarOf(t, entry{tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""}), `"null"`},
		"a name that is there twice":  {tarOf(t, file("manifest.json", "[]"), file("./manifest.json", "[]")), "twice"},
		"a torn archive":              {whole[:520], "entries"},
		"an archive that ends early":  {whole[:len(whole)/2], "not found"},
		"a torn gzip":                 {gzipped(whole)[:200], "EOF"},
		"a large index":               {tarOf(t, file("oci-layout", "{}"), file("index.json", strings.Repeat(" ", maxText+1))), "index.json has"},
		"an index that is none":       {tarOf(t, file("oci-layout", "{}"), file("index.json", "[]")), "index.json"},
		"an index of nothing":         {tarOf(t, file("oci-layout", "{}"), file("index.json", `{"schemaVersion":2,"manifests":[]}`)), "no image"},
		"no index":                    {tarOf(t, file("oci-layout", "{}")), "index.json"},
		"a manifest that is another":  {with(layer, config, wrong(manifest, strings.Repeat(" ", int(manifest.Size)))), "descriptor"},
		"a layer that is another":     {with(wrong(layer, strings.Repeat(" ", int(layer.Size))), config, manifest), "descriptor"},
		"a layer that is torn":        {with(wrong(layer, string(layer.data[:10])), config, manifest), "descriptor"},
		"a layer that goes on":        {with(wrong(layer, string(layer.data)+"x"), config, manifest), "announced"},
		"a layer that is not there":   {with(config, manifest), layer.Digest.Encoded()},
		"a config that is not there":  {with(layer, manifest), config.Digest.Encoded()},
		"a manifest that lies":        {with(layer, config, small), "announced"},
		"a size below zero":           {with(layer, config, negative), "-1"},
		"indexes in indexes":          {with(deep...), "in each other"},
		"a link to itself":            {docker(`[{"Config":"c.json","RepoTags":["x"],"Layers":["l"]}]`, link("l", "l")), "l: not found"},
		"a link out of it":            {docker(`[{"Config":"c.json","RepoTags":["x"],"Layers":["l"]}]`, link("l", "/etc/passwd")), "l: not found"},
		"a layer name out of it":      {docker(`[{"Config":"c.json","RepoTags":["x"],"Layers":["../../etc/passwd"]}]`), "etc/passwd: not found"},
		"a config name out of it":     {docker(`[{"Config":"/etc/hostname","RepoTags":["x"],"Layers":[]}]`), "/etc/hostname: not found"},
		"fewer layers than diff IDs":  {docker(`[{"Config":"c.json","RepoTags":["x"],"Layers":[]}]`), "diff IDs"},
		"another layer than its ID":   {docker(`[{"Config":"c.json","RepoTags":["x"],"Layers":["l"]}]`, file("l", other)), "descriptor"},
		"a list of nothing":           {docker(`[]`), "no image"},
		"a list that is none":         {docker(`{`), "manifest.json"},
		"a name with another digest":  {docker(`[{"Config":"c.json","RepoTags":["debian@`+string(config.Digest)+`"],"Layers":["l"]}]`, file("l", string(plainLayer(t)))), "debian@"},
		"a tag that is none":          {docker(`[{"Config":"c.json","RepoTags":["a b"],"Layers":["l"]}]`, file("l", string(plainLayer(t)))), "a b"},
	} {
		s := openStore(t)
		_, err := Load(ctx, s, bytes.NewReader(c.data), LoadOptions{})
		refused(t, what, s, err, c.has)
	}
	s := openStore(t)
	_, err := Load(ctx, s, bytes.NewReader(gzipped(make([]byte, 2<<20))), LoadOptions{MaxBytes: 1 << 20})
	refused(t, "a gzip bomb", s, err, "the limit")
}

// plainLayer is the tar of picture's first layer.
func plainLayer(t *testing.T) []byte { return tarOf(t, file("name", "amd64 a")) }

func refused(t *testing.T, what string, s *images.Store, err error, has string) {
	t.Helper()
	check.ErrorHas(t, "load "+what, err, []string{has})
	check.True(t, "the error of "+what, !strings.Contains(err.Error(), "\n") && len(err.Error()) < 400, err.Error(), "one line")
	tags, e := s.Tags()
	check.True(t, "names after "+what, e == nil && len(tags) == 0, fmt.Sprint(tags), "none")
	onlyBlobs(t, what, s)
}

// onlyBlobs looks for anything in the store that is no blob of its name.
func onlyBlobs(t testing.TB, what string, s *images.Store) {
	t.Helper()
	err := filepath.WalkDir(s.Path("."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch name := d.Name(); filepath.Base(filepath.Dir(path)) {
		case "sha256":
			data, err := os.ReadFile(path)
			if err != nil || digest.FromBytes(data).Encoded() != name {
				return fmt.Errorf("%s is not what its name says", path)
			}
		case "ingest": // a blob that broke off, to go on with
			if _, err := digest.Parse("sha256:" + strings.TrimSuffix(name, ".lock")); err != nil {
				return fmt.Errorf("%s is left", path)
			}
		default:
			if name != "oci-layout" && name != "index.json" && !strings.HasSuffix(name, "lock") {
				return fmt.Errorf("%s is left", path)
			}
		}
		return nil
	})
	check.NoError(t, "the store after "+what, err)
}

// FuzzLoad: whatever the bytes are, Load ends, in one line if it refuses, and what
// it accepts can be read and saved.
func FuzzLoad(f *testing.F) {
	exercise.NeedAll(f)
	good := picture(f, images.HostPlatform(), v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayer)
	oci := layout(f, map[string]string{fullNameKey: demo}, good)
	f.Add(oci)
	f.Add(gzipped(oci))
	f.Add(zstded(oci))
	f.Add(tarOf(f, file("c.json", string(good[2].data)), link("b", "a"), file("a", string(good[1].data)),
		file("manifest.json", `[{"Config":"c.json","RepoTags":["demo:1"],"Layers":["b","a"]}]`)))
	f.Add(tarOf(f, file("oci-layout", ""), file("index.json", `{"schemaVersion":2,"manifests":[{}]}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := images.Open(t.TempDir(), images.Single)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(context.Background(), s, bytes.NewReader(data), LoadOptions{MaxBytes: 8 << 20})
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("more than one line: %q", err)
		}
		onlyBlobs(t, "the load", s)
		for _, i := range loaded {
			if err := Save(context.Background(), s, &bytes.Buffer{}, []string{i.Name}, SaveOptions{}); err != nil && !strings.Contains(err.Error(), "unpacked it is") {
				t.Fatalf("loaded, but not to be saved: %v", err)
			}
		}
	})
}
