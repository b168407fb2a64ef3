package images

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func digestOf(n int) digest.Digest { return digest.FromString(fmt.Sprint(n)) }

// manifestText is a good manifest; replace changes it: old, new, old, new …
func manifestText(replace ...string) []byte {
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":100},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"%s","size":2000},
{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"%s","size":3000}]}`, digestOf(0), digestOf(1), digestOf(2))
	return []byte(strings.NewReplacer(replace...).Replace(text))
}

// dockerText is the same as Docker writes it.
func dockerText() []byte {
	return manifestText("oci.image.manifest.v1", "docker.distribution.manifest.v2", "oci.image.config.v1", "docker.container.image.v1",
		"oci.image.layer.v1.tar+gzip", "docker.image.rootfs.diff.tar.gzip", "oci.image.layer.v1.tar+zstd", "docker.image.rootfs.diff.tar.zstd")
}

func TestParseManifest_OfOCIAndDocker(t *testing.T) {
	exercise.Need(t, "3.2")
	for what, text := range map[string][]byte{"OCI": manifestText(), "OCI without mediaType": manifestText(`"mediaType":"application/vnd.oci.image.manifest.v1+json",`, ""), "Docker": dockerText()} {
		m, err := ParseManifest("", text)
		check.NoError(t, "ParseManifest of "+what+"'s", err)
		check.Equal(t, "digest of the config", digestOf(0), m.Config.Digest)
		check.Equal(t, "layers", 2, len(m.Layers))
		check.Equal(t, "second layer", Descriptor{MediaType: v1.MediaTypeImageLayerZstd, Digest: digestOf(2), Size: 3000}, m.Layers[1],
			check.Often(what == "Docker", "Docker's media types are not translated"))
		check.Equal(t, "type of the config", v1.MediaTypeImageConfig, m.Config.MediaType)
		check.Equal(t, "type of the manifest", v1.MediaTypeImageManifest, m.MediaType)
	}
	_, err := ParseManifest(dockerManifest, dockerText())
	check.NoError(t, "ParseManifest of Docker's, and its type outside", err)
	m, err := ParseManifest("", manifestText(`"layers":[`, `"layers":[`+strings.Repeat(smallLayer, MaxLayers-2)))
	check.NoError(t, "ParseManifest of as many layers as are allowed", err)
	check.Equal(t, "layers, as many as are allowed", MaxLayers, len(m.Layers))
}

var smallLayer = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + string(digestOf(1)) + `","size":1},`

func TestParseManifest_Refuses(t *testing.T) {
	exercise.Need(t, "3.2")
	deep := strings.Repeat("[", 100000) + strings.Repeat("]", 100000)
	long := strings.Repeat("x\n", 1<<19)
	longJSON := strings.ReplaceAll(long, "\n", `\n`)
	const uncompared, whoReads, uncut = "what is said outside and inside is not compared (CVE-2021-41190)", "who reads it decides what it is (CVE-2021-41190)", "what a stranger wrote is repeated as it is"
	cases := []struct {
		what, outside string
		text          []byte
		says          string
		often         string
	}{
		{"10 MB", "", manifestText("{\"schema", strings.Repeat(" ", 10<<20)+"{\"schema"), "10", "there is no limit: who sends a manifest chooses how much memory it takes"},
		{"no JSON", "", []byte("<html>404</html>"), "JSON", ""},
		{"nothing", "", nil, "JSON", ""},
		{"deep nesting", "", manifestText(`"config"`, `"annotations":`+deep+`,"config"`), "", ""},
		{"schema 1", "", manifestText(`"schemaVersion":2`, `"schemaVersion":1`), "schema 1", ""},
		{"no schema", "", manifestText(`"schemaVersion":2,`, ""), "schema 1", ""},
		{"schema 3", "", manifestText(`"schemaVersion":2`, `"schemaVersion":3`), "schema 1", ""},
		{"a schema of a million digits", "", manifestText(`"schemaVersion":2`, `"schemaVersion":`+strings.Repeat("9", 1<<20)), "JSON", ""},
		{"one type inside, another outside", v1.MediaTypeImageIndex, manifestText(), "image.index", uncompared},
		{"an index inside, a manifest outside", v1.MediaTypeImageManifest, manifestText("image.manifest.v1", "image.index.v1"), "image.index", uncompared},
		{"a type outside of 1 MB", long, manifestText(), "x", uncut},
		{"a type inside of 1 MB", "", manifestText("application/vnd.oci.image.manifest.v1+json", longJSON), "x", uncut},
		{"schema 1 by its type", "application/vnd.docker.distribution.manifest.v1+prettyjws", manifestText(), "schema 1", ""},
		{"an index", "", manifestText("image.manifest.v1", "image.index.v1"), "index", ""},
		{"layers and manifests at once", "", manifestText(`"layers"`, `"manifests":[],"layers"`), "manifests", whoReads},
		{"layers, and null as manifests", "", manifestText(`"layers"`, `"manifests":null,"layers"`), "manifests", whoReads},
		{"manifests and no layers", "", manifestText(`"layers"`, `"manifests"`), "manifests", whoReads},
		{"an artifact", "", manifestText("oci.image.config.v1", "cncf.helm.config.v1"), "artifact", ""},
		{"a config of no type", "", manifestText("application/vnd.oci.image.config.v1+json", ""), "artifact", ""},
		{"a config's type of 1 MB", "", manifestText("application/vnd.oci.image.config.v1+json", longJSON), "artifact", uncut},
		{"a layer of no type", "", manifestText("application/vnd.oci.image.layer.v1.tar+gzip", ""), "layer 1", ""},
		{"a layer's type of 1 MB", "", manifestText("application/vnd.oci.image.layer.v1.tar+gzip", longJSON), "layer 1", uncut},
		{"an attestation", "", manifestText("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.in-toto+json"), "in-toto", ""},
		{"a foreign layer", "", manifestText("oci.image.layer.v1.tar+gzip", "docker.image.rootfs.foreign.diff.tar.gzip"), "layer 1", ""},
		{"a nondistributable layer", "", manifestText("layer.v1.tar+zstd", "layer.nondistributable.v1.tar+zstd"), "layer 2", ""},
		{"an unknown compression", "", manifestText("tar+zstd", "tar+lz4"), "lz4", ""},
		{"a size below 0", "", manifestText(`"size":3000`, `"size":-1`), "-1", "sizes are believed"},
		{"a size of nearly 2⁶³", "", manifestText(`"size":3000`, `"size":9223372036854775807`), "9223372036854775807", "sizes are believed: their sum overflows"},
		{"a digest that is a path", "", manifestText(string(digestOf(2)), "sha256:../../../../etc/shadow"), "etc/shadow", "a digest is believed to be one"},
		{"another algorithm", "", manifestText(string(digestOf(2)), "sha512:"+strings.Repeat("a", 128)), "sha512", ""},
		{"no digest", "", manifestText(string(digestOf(0)), ""), "digest", ""},
		{"10000 layers", "", manifestText(`"layers":[`, `"layers":[`+strings.Repeat(smallLayer, 10000)), "10002", ""},
		{"one layer more than is allowed", "", manifestText(`"layers":[`, `"layers":[`+strings.Repeat(smallLayer, MaxLayers-1)), fmt.Sprint(MaxLayers + 1), ""},
	}
	for _, c := range cases {
		m, err := ParseManifest(c.outside, c.text)
		check.True(t, "ParseManifest of "+c.what, err != nil && m == nil, check.Error(err), "an error and no manifest", check.Often(c.often != "", c.often))
		check.ErrorHas(t, "ParseManifest of "+c.what, err, []string{c.says})
		if c.says == "schema 1" {
			check.ErrorIs(t, "ParseManifest of "+c.what, err, errSchema1)
		}
		shortLine(t, "its message, "+c.what, err)
	}
	_, err := ParseManifest("", manifestText("{\"schema", strings.Repeat(" ", 10<<20)+"{\"schema"))
	check.ErrorIs(t, "ParseManifest of 10 MB", err, ErrTooLarge)
}

// shortLine: what a stranger wrote takes no more than a line of a terminal or a log.
func shortLine(t *testing.T, did string, err error) {
	t.Helper()
	text := err.Error()
	check.True(t, did, len(text) < 400 && !strings.Contains(text, "\n"), fmt.Sprintf("%d bytes, %d lines: %.40q…", len(text), 1+strings.Count(text, "\n"), text), "one short line",
		check.Often(true, "what a stranger wrote is repeated as it is"))
}

func TestParseConfig_HasADiffIDForEachLayer(t *testing.T) {
	exercise.Need(t, "3.2")
	m, err := ParseManifest("", manifestText())
	check.NoError(t, "ParseManifest", err)
	text := func(ids ...digest.Digest) []byte {
		b, _ := json.Marshal(v1.Image{Config: v1.ImageConfig{Cmd: []string{"sh"}}, RootFS: v1.RootFS{Type: "layers", DiffIDs: ids}})
		return b
	}
	c, err := ParseConfig(m, text(digestOf(3), digestOf(4)))
	check.NoError(t, "ParseConfig", err)
	check.Equal(t, "Cmd", []string{"sh"}, c.Config.Cmd)
	for what, data := range map[string][]byte{
		"one diff ID for two layers": text(digestOf(3)), "three": text(digestOf(1), digestOf(2), digestOf(3)), "none": []byte("{}"),
		"a false one": text(digestOf(3), "sha256:../x"), "no JSON": []byte("x"),
		"a time of 1 MB": []byte(`{"created":"` + strings.Repeat("y", 1<<20) + `"}`),
	} {
		_, err := ParseConfig(m, data)
		check.ErrorHas(t, "ParseConfig with "+what, err, []string{"config"}, check.Often(strings.Contains(what, "diff ID"), "layers and diff IDs are not counted against each other"))
		shortLine(t, "its message", err)
	}
	_, err = ParseConfig(m, append(text(digestOf(3), digestOf(4)), bytes.Repeat([]byte(" "), 10<<20)...))
	check.ErrorIs(t, "ParseConfig of 10 MB", err, ErrTooLarge)
}

func indexOf(entries ...string) *v1.Index {
	x := &v1.Index{}
	for i, e := range entries {
		d := Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digestOf(i), Size: 1}
		if e == "attestation" {
			d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
			e = "linux/amd64"
		}
		if e != "" {
			part := append(strings.Split(e, "/"), "")
			d.Platform = &v1.Platform{OS: part[0], Architecture: part[1], Variant: part[2]}
		}
		x.Manifests = append(x.Manifests, d)
	}
	return x
}

func TestSelect_ThePlatform(t *testing.T) {
	exercise.Need(t, "3.2")
	for _, c := range []struct {
		want string
		of   []string
		is   int // -1: none
		why  string
	}{
		{"linux/amd64", []string{"linux/arm64/v8", "linux/amd64", "windows/amd64"}, 1, "the first is taken"},
		{"linux/amd64", []string{"windows/amd64", "linux/amd64"}, 1, "the architecture alone is compared"},
		{"linux/amd64", []string{"linux/amd64/v3", "linux/amd64"}, 1, "variants are not compared: this needs a newer processor"},
		{"linux/amd64/v3", []string{"linux/amd64", "linux/amd64/v2"}, 1, "the first that runs is taken, not the best"},
		{"linux/amd64", []string{"unknown/unknown", "attestation", "linux/amd64"}, 2, "an attestation is taken for the image it speaks of"},
		{"linux/arm", []string{"linux/arm/v5", "linux/arm/v6", "linux/arm/v7"}, 2, "arm without a variant is v7"},
		{"linux/arm/v8", []string{"linux/arm/v6", "linux/arm/v7", "linux/arm64"}, 1, "an arm v8 runs what is made for v7 before what is made for v6"},
		{"linux/arm/v6", []string{"linux/arm/v7", "linux/arm/v5"}, 1, "arm v6 does not run v7"},
		{"linux/arm64", []string{"linux/arm/v7", "linux/arm64/v8"}, 1, "arm64 and arm64 v8 are one"},
		{"linux/arm64", []string{"linux/amd64", "linux/arm/v6"}, 1, ""},
		{"linux/amd64", []string{"", "linux/amd64"}, 1, ""},
		{"linux/amd64", []string{"linux/arm64", ""}, 1, ""},
		{"linux/s390x", []string{"linux/arm64", "linux/amd64"}, -1, ""},
		{"linux/amd64", []string{"unknown/unknown", "attestation"}, -1, ""},
		{"linux/amd64", nil, -1, ""},
	} {
		p, err := ParsePlatform(c.want)
		check.NoError(t, "ParsePlatform", err)
		did := fmt.Sprintf("Select(%q, %s)", c.of, c.want)
		d, err := Select(indexOf(c.of...), p)
		if c.is < 0 {
			check.ErrorIs(t, did, err, ErrNotFound)
			check.ErrorHas(t, did, err, []string{c.want})
			continue
		}
		check.NoError(t, did, err)
		got := "an entry that is not in the index"
		if i := slicesIndex(d.Digest, len(c.of)); i < len(c.of) {
			got = c.of[i]
		}
		check.Equal(t, did, c.of[c.is], got, check.Often(c.why != "", c.why))
	}
	want := v1.Platform{OS: "linux", Architecture: "s390x"}
	_, err := Select(indexOf("linux/riscv64", "windows/amd64"), want)
	check.ErrorHas(t, "Select of an index without the platform", err, []string{"linux/s390x", "linux/riscv64", "windows/amd64"})
	_, err = Select(indexOf("linux/"+strings.Repeat("x\n", 1<<19)), want)
	check.ErrorIs(t, "Select, a platform's name is 1 MB", err, ErrNotFound)
	shortLine(t, "Select's message, a platform's name is 1 MB", err)
	t.Run("as containerd", selectsAsContainerd)
}

func slicesIndex(d digest.Digest, n int) int {
	for i := range n {
		if digestOf(i) == d {
			return i
		}
	}
	return n
}

// containerd is the independent reader.
func selectsAsContainerd(t *testing.T) {
	entry := rapid.SampledFrom([]string{"linux/amd64", "linux/amd64/v1", "linux/amd64/v2", "linux/amd64/v3", "linux/386", "linux/x86_64", "linux/arm", "linux/arm/v5",
		"linux/arm/v6", "linux/arm/7", "linux/arm/v8", "linux/armhf", "linux/arm64", "linux/arm64/v8", "linux/aarch64", "linux/s390x", "Linux/AMD64", "windows/amd64", "unknown/unknown"})
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.SliceOfN(entry, 0, 8).Draw(t, "index")
		text := rapid.SampledFrom([]string{"linux/amd64", "linux/amd64/v3", "linux/386", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm64", "linux/s390x"}).Draw(t, "platform")
		want, err := ParsePlatform(text)
		if err != nil {
			t.Fatal(err)
		}
		only, best := platforms.Only(platforms.MustParse(text)), -1
		for i, d := range indexOf(of...).Manifests {
			have := platforms.Normalize(*d.Platform)
			if only.Match(have) && (best < 0 || only.Less(have, platforms.Normalize(*indexOf(of...).Manifests[best].Platform))) {
				best = i
			}
		}
		d, err := Select(indexOf(of...), want)
		if got := slicesIndex(d.Digest, len(of)); err == nil && got != best || err != nil && best >= 0 {
			t.Fatalf("Select(%q, %s): got entry %d (%v), containerd takes %d", of, text, got, err, best)
		}
	})
}

func TestChainIDs_AsTheSpecification(t *testing.T) {
	exercise.Need(t, "3.2")
	var ids []digest.Digest
	check.Equal(t, "ChainIDs of no layers", 0, len(ChainIDs(nil)))
	for i := range 4 {
		ids = append(ids, digestOf(i))
	}
	chain := ChainIDs(slices.Clone(ids))
	check.Equal(t, "number of chain IDs", 4, len(chain))
	check.Equal(t, "the first chain ID", ids[0], chain[0], check.Often(true, "the first layer's chain ID is its diff ID"))
	for i := range chain {
		check.Equal(t, fmt.Sprintf("chain ID %d", i+1), identity.ChainID(append([]digest.Digest{}, ids[:i+1]...)), chain[i],
			check.Often(chain[i] == digest.FromString(string(ids[max(i-1, 0)])+" "+string(ids[i])), "the diff ID below is hashed, not the chain ID below"))
	}
	ChainIDs(ids)
	check.Equal(t, "the second diff ID afterwards", digestOf(1), ids[1], check.Often(true, "the caller's slice is overwritten"))
}
