package images

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestParseIndex(t *testing.T) {
	exercise.NeedAll(t)
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":"%s","size":7,"platform":{"os":"linux","architecture":"amd64"}},
{"mediaType":"application/x-unheard-of","digest":"%s","size":7}]}`, dockerList, dockerManifest, digestOf(1), digestOf(2))
	x, err := ParseIndex("", []byte(text))
	check.NoError(t, "ParseIndex of Docker's manifest list", err)
	check.Equal(t, "type of the first manifest", v1.MediaTypeImageManifest, x.Manifests[0].MediaType)
	for what, bad := range map[string]string{
		"a size below 0":  strings.Replace(text, `"size":7`, `"size":-7`, 1),
		"layers too":      strings.Replace(text, `"manifests"`, `"layers":[],"manifests"`, 1),
		"a false digest":  strings.Replace(text, string(digestOf(2)), "sha256:..", 1),
		"another type":    strings.Replace(text, dockerList, dockerManifest, 1),
		"more than 4 MiB": text + strings.Repeat(" ", 10<<20),
		"another schema":  strings.Replace(text, `n":2`, `n":3`, 1),
	} {
		_, err := ParseIndex("", []byte(bad))
		check.True(t, "ParseIndex with "+what, err != nil, "no error", "an error")
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add("", manifestText())
	f.Add(dockerManifest, dockerText())
	f.Add("", []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:`+strings.Repeat("0", 64)+`","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Add("", []byte(`{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}]}`))
	f.Add("", []byte(`{"Layers":[{}],"layers":null,"LAYERS":[]}`))
	f.Fuzz(func(t *testing.T, mediaType string, data []byte) {
		exercise.Need(t, "3.2")
		good := func(list []Descriptor) {
			for _, d := range list {
				if checkDigest(d.Digest) != nil || d.Size < 0 {
					t.Fatalf("accepted %+v", d)
				}
			}
		}
		if m, err := ParseManifest(mediaType, data); err == nil {
			good(append(m.Layers, m.Config))
			if _, err := ParseIndex(mediaType, data); err == nil {
				t.Fatal("a manifest and an index at once")
			}
			if c, err := ParseConfig(m, data); err == nil && len(ChainIDs(c.RootFS.DiffIDs)) != len(m.Layers) {
				t.Fatal("a config with other layers")
			}
		}
		if x, err := ParseIndex(mediaType, data); err == nil {
			good(x.Manifests)
			if d, err := Select(x, v1.Platform{OS: "linux", Architecture: "amd64"}); err == nil && attestation(d) {
				t.Fatalf("selected %+v", d)
			}
		}
	})
}
