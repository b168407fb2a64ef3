package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// graph is who refers to whom, by number.
type graph map[int][]int

// children answers until ctx ends, so that no question outlives a test.
func (g graph) children(ctx context.Context, asked map[digest.Digest]int) func(Descriptor) ([]Descriptor, error) {
	return func(d Descriptor) (all []Descriptor, err error) {
		asked[d.Digest]++
		for from, to := range g {
			if digestOf(from) == d.Digest {
				for _, n := range to {
					all = append(all, Descriptor{Digest: digestOf(n)})
				}
			}
		}
		return all, ctx.Err()
	}
}

func marked(m map[digest.Digest]bool, of int) (all []int) {
	for i := range of {
		if m[digestOf(i)] {
			all = append(all, i)
		}
	}
	return all
}

func TestMark_WhatCanBeReached(t *testing.T) {
	exercise.Need(t, "3.10")
	for _, c := range []struct {
		what  string
		roots []int
		graph graph
		want  []int
		why   string
	}{
		{"no roots", nil, graph{0: {1}}, nil, ""},
		{"a blob that refers to itself", []int{0}, graph{0: {0}}, []int{0}, ""},
		{"two images that share a layer", []int{0, 1}, graph{0: {2, 3}, 1: {3, 4}, 5: {3, 6}}, []int{0, 1, 2, 3, 4}, ""},
		{"an index of indexes", []int{0}, graph{0: {1}, 1: {2}, 2: {3}, 3: {4}}, []int{0, 1, 2, 3, 4}, "only the first two levels are followed"},
		{"a loop", []int{0}, graph{0: {1}, 1: {2}, 2: {0, 1}}, []int{0, 1, 2}, ""},
	} {
		var roots []Descriptor
		for _, r := range c.roots {
			roots = append(roots, Descriptor{Digest: digestOf(r)})
		}
		asked := map[digest.Digest]int{}
		m, err := check.Within(t, "Mark of "+c.what, "its return", func() (map[digest.Digest]bool, error) { return Mark(roots, c.graph.children(t.Context(), asked)) }, check.Often(true, "nobody notes what was visited: loops are followed for ever"))
		check.NoError(t, "Mark of "+c.what, err)
		check.Equal(t, "Mark of "+c.what, c.want, marked(m, 10), check.Often(c.why != "", c.why))
		for d, n := range asked {
			check.True(t, "Mark of "+c.what, n == 1, fmt.Sprintf("%d questions about %s", n, d.Encoded()[:8]), "one for each blob")
		}
	}
	t.Run("ends in time", marksInTime)
	t.Run("stops at an error", stopsAtAnError)
	t.Run("any graph", marksTheReachable)
}

func marksInTime(t *testing.T) {
	// Each of 60 indexes names the next one twice: 2⁶⁰ ways, but 60 blobs. And one
	// chain that is longer than a stack is deep.
	twice, chain := graph{}, map[digest.Digest]digest.Digest{}
	for i := range 60 {
		twice[i] = []int{i + 1, i + 1}
	}
	_, err := check.Within(t, "Mark of 60 indexes, each naming the next twice", "its return", func() (int, error) {
		m, err := Mark([]Descriptor{{Digest: digestOf(0)}}, twice.children(t.Context(), map[digest.Digest]int{}))
		return len(m), err
	}, check.Often(true, "each way to a blob is walked, not each blob"))
	check.NoError(t, "Mark", err)
	for i := range 20000 {
		chain[digestOf(i)] = digestOf(i + 1)
	}
	n, err := check.Within(t, "Mark of a chain of 20000", "its return", func() (int, error) {
		m, err := Mark([]Descriptor{{Digest: digestOf(0)}}, func(d Descriptor) ([]Descriptor, error) {
			if next, ok := chain[d.Digest]; ok {
				return []Descriptor{{Digest: next}}, nil
			}
			return nil, nil
		})
		return len(m), err
	})
	check.NoError(t, "Mark of a chain", err)
	check.Equal(t, "blobs in a chain of 20000, and the one that ends it", 20001, n)
}

func stopsAtAnError(t *testing.T) {
	damaged := errors.New("damaged")
	m, err := Mark([]Descriptor{{Digest: digestOf(0)}}, func(d Descriptor) ([]Descriptor, error) {
		if d.Digest == digestOf(1) {
			return nil, damaged
		}
		return []Descriptor{{Digest: digestOf(1)}, {Digest: digestOf(2)}}, nil
	})
	check.ErrorIs(t, "Mark, one blob cannot be read", err, damaged, check.Often(err == nil, "it goes on: what hangs on that blob would be swept"))
	check.ErrorHas(t, "Mark, one blob cannot be read", err, []string{string(digestOf(1))})
	check.Equal(t, "what it returns then", 0, len(m))
}

func marksTheReachable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := graph(rapid.MapOf(rapid.IntRange(0, 9), rapid.SliceOfN(rapid.IntRange(0, 9), 0, 4)).Draw(t, "graph"))
		roots := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 3).Draw(t, "roots")
		var ds []Descriptor
		want := map[int]bool{}
		for _, r := range roots {
			ds = append(ds, Descriptor{Digest: digestOf(r)})
			want[r] = true
		}
		for range 10 {
			for from := range want {
				for _, to := range g[from] {
					want[to] = true
				}
			}
		}
		m, err := Mark(ds, g.children(t.Context(), map[digest.Digest]int{}))
		if err != nil || len(m) != len(want) {
			t.Fatalf("Mark(%v) = %v, %v: want %v", roots, marked(m, 10), err, want)
		}
		for n := range want {
			if !m[digestOf(n)] {
				t.Fatalf("Mark(%v) leaves out %d", roots, n)
			}
		}
	})
}

// contents lists what is in a store, but for what is always there.
func contents(t testing.TB, s *Store) string {
	t.Helper()
	var all []string
	for _, dir := range []string{"blobs/sha256", "ingest", "layers", "active", "cache", "."} {
		for name := range strings.FieldsSeq(list(t, s.Path(dir))) {
			switch dir + "/" + name {
			case "layers/empty", "active/lock", "./active", "./blobs", "./cache", "./index.json", "./index.lock", "./ingest", "./layers", "./lock", "./oci-layout":
				continue
			}
			all = append(all, dir+"/"+name)
		}
	}
	return strings.Join(all, "\n")
}

func collect(t testing.TB, s *Store, o CollectOptions) Collected {
	t.Helper()
	c, err := check.Within(t, "Collect", "its return", func() (Collected, error) { return s.Collect(t.Context(), o) },
		check.Often(true, "an earlier Collect keeps the store's lock"))
	check.NoError(t, "Collect", err)
	return c
}

func TestCollect_KeepsWhatHasANameOrASnapshot(t *testing.T) {
	exercise.Need(t, "3.10", "3.1", "3.2", "3.3", "3.5")
	sandbox.Need(t)
	s := newStore(t)
	base := layerTar(t, layerFile{name: "bin/"}, layerFile{name: "bin/sh", text: "shell"})
	mine := putImage(t, s, "mine:1", base, layerTar(t, layerFile{name: "app", text: "mine"}))
	other := putImage(t, s, "other:1", base, layerTar(t, layerFile{name: "app", text: "other"}))
	for _, img := range []*Image{mine, other} {
		_, err := s.Unpack(t.Context(), img, nil)
		check.NoError(t, "Unpack", err)
	}
	before := contents(t, s)
	check.Equal(t, "Collect where all is in use", Collected{}, collect(t, s, CollectOptions{}))
	check.Equal(t, "the store afterwards", before, contents(t, s))

	// A snapshot keeps the layers below it, not the blobs they came in.
	sn, err := s.Prepare(t.Context(), "container", other.Chain())
	check.NoError(t, "Prepare", err)
	check.NoError(t, "Untag", s.Untag(t.Context(), "other:1"))
	dry := collect(t, s, CollectOptions{DryRun: true})
	check.Equal(t, "blobs that a dry run would remove: manifest, config, a layer", 3, dry.Blobs)
	check.Equal(t, "the store after a dry run", true, strings.HasPrefix(contents(t, s), before))
	c := collect(t, s, CollectOptions{})
	check.Equal(t, "what Collect removes", dry, c)
	check.Equal(t, "layers that Collect removes", 0, c.Layers, check.Often(true, "a snapshot's layers are in use, whatever has a name"))
	_, err = s.Lowers(sn.Parent)
	check.NoError(t, "the layers below the snapshot", err)
	check.NoError(t, "Remove the snapshot", sn.Remove())
	c = collect(t, s, CollectOptions{})
	check.Equal(t, "layers removed after the snapshot", 1, c.Layers)

	img, err := s.Image("mine:1", HostPlatform())
	check.NoError(t, "the other image afterwards", err)
	for _, l := range img.Layers {
		_, err := s.Blobs().ReadAll(l, 1<<20)
		check.NoError(t, "its layer", err)
	}
	_, err = s.Lowers(img.Chain())
	check.NoError(t, "its unpacked layers", err)
	check.NoError(t, "Untag", s.Untag(t.Context(), "mine:1"))
	_, err = s.Prepare(t.Context(), TemporaryID+"build", mine.Chain()) // its maker was killed, or it would hold Share
	check.NoError(t, "Prepare", err)
	c = collect(t, s, CollectOptions{})
	check.Equal(t, "the store without an image", "", contents(t, s))
	check.True(t, "bytes", c.Bytes > 0, "0", "what the disk has again")

	t.Run("an image of an index", keepsAnImageOfAnIndex)
	t.Run("a manifest that is called a layer", keepsAManifestThatIsCalledALayer)
	t.Run("hostile and damaged manifests", collectsAmongHostileManifests)
}

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
	_, err := s.Collect(t.Context(), CollectOptions{})
	check.ErrorIs(t, "Collect, a manifest is damaged", err, ErrMismatch)
	check.True(t, "its layer", s.Blobs().Has(img.Layers[0].Digest), "gone", "there: what hangs on a damaged manifest is not known")

	check.NoError(t, "damage index.json", os.WriteFile(s.Path("index.json"), []byte("{"), 0o644))
	_, err = s.Collect(t.Context(), CollectOptions{})
	check.ErrorHas(t, "Collect, index.json is damaged", err, []string{"index.json"}, check.Often(true, "an error on the way to what is in use is taken for nothing in use: all is swept"))
	check.True(t, "the good image's layer", s.Blobs().Has(img.Layers[0].Digest), "gone", "there")
}

func TestCollect_WhatCrashesLeave(t *testing.T) {
	exercise.Need(t, "3.10", "3.1", "3.2", "3.3", "3.5")
	sandbox.Need(t)
	s := newStore(t)
	img := putImage(t, s, "good:1", layerTar(t, layerFile{name: "file", text: "x"}))
	_, err := s.Unpack(t.Context(), img, nil)
	check.NoError(t, "Unpack", err)
	before := contents(t, s)
	hex := digestOf(1).Encoded()
	for _, file := range []string{"ingest/" + hex, "ingest/" + hex + ".lock", "ingest/new-123", "layers/" + hex + ".new/fs/half", "layers/" + hex + ".gone/fs/half",
		"layers/" + hex + ".lock", "layers/" + hex + "/fs/torn", "active/x.new/fs/half", "active/x.gone/work/work/x", "active/tmp-build/fs/x", "active/tmp-build/parent", "active/torn/fs/x",
		".index.json-123", "cache/." + hex + "-1", "cache/" + hex} {
		putFile(t, s.Path(file), "x")
	}
	c := collect(t, s, CollectOptions{Partial: time.Hour})
	check.Equal(t, "the store after Collect, downloads of the last hour stay", before+"\ningest/"+hex, strings.Join(linesMoved(contents(t, s), "ingest/"+hex), "\n"))
	check.Equal(t, "layers that no config names", 1, c.Layers)
	check.Equal(t, "steps that are no JSON", 2, c.Steps)
	collect(t, s, CollectOptions{})
	check.Equal(t, "the store after Collect", before, contents(t, s))
}

// linesMoved returns the lines, with one of them last.
func linesMoved(text, last string) (lines []string) {
	found := ""
	for line := range strings.SplitSeq(text, "\n") {
		if line == last {
			found = line
		} else {
			lines = append(lines, line)
		}
	}
	if found != "" {
		lines = append(lines, found)
	}
	return lines
}

func TestCollect_StepsOfBuilds(t *testing.T) {
	exercise.Need(t, "3.10", "3.1", "3.2", "3.3", "3.5")
	sandbox.Need(t)
	s := newStore(t)
	img := putImage(t, s, "built:1", layerTar(t, layerFile{name: "file", text: "x"}))
	chain, err := s.Unpack(t.Context(), img, nil)
	check.NoError(t, "Unpack", err)
	want := Cached{Layer: img.Layers[0], DiffID: img.Config.RootFS.DiffIDs[0], Chain: chain}
	check.NoError(t, "PutCached", s.PutCached(digestOf(1), want))
	check.NoError(t, "Untag", s.Untag(t.Context(), "built:1"))
	c := collect(t, s, CollectOptions{Steps: time.Hour})
	check.Equal(t, "blobs removed: manifest and config", 2, c.Blobs, check.Often(c.Blobs == 3, "the step is kept, but not what it made"))
	check.Equal(t, "layers removed", 0, c.Layers)
	got, err := s.Cached(digestOf(1))
	check.NoError(t, "Cached", err)
	check.Equal(t, "Cached", want, got)
	_, err = s.Cached(digestOf(2))
	check.ErrorIs(t, "Cached of another key", err, ErrNotFound)
	old := time.Now().Add(-2 * time.Hour)
	check.NoError(t, "age it", os.Chtimes(s.Path("cache", digestOf(1).Encoded()), old, old))
	collect(t, s, CollectOptions{Steps: time.Hour})
	check.Equal(t, "the store once the step is old", "", contents(t, s))
}

func TestCollect_WaitsForWhoAdds(t *testing.T) {
	exercise.Need(t, "3.10")
	s := newStore(t)
	unlock, err := s.Share(t.Context())
	check.NoError(t, "Share", err)
	second, err := check.Within(t, "a second Share", "its return", func() (func(), error) { return s.Share(t.Context()) })
	check.NoError(t, "a second Share", err)
	second()
	d := putBlob(t, s, "text/plain", text) // has no name yet
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = check.Within(t, "Collect while another adds, its context ends", "its return", func() (Collected, error) { return s.Collect(ctx, CollectOptions{}) })
	check.ErrorIs(t, "Collect while another adds, its context ends", err, context.DeadlineExceeded, check.Often(err == nil, "what is on its way has no name yet, and is swept"))
	check.True(t, "the blob that is added", s.Blobs().Has(d.Digest), "gone", "there")
	unlock()
	check.Equal(t, "blobs removed afterwards", 1, collect(t, s, CollectOptions{}).Blobs)
}
