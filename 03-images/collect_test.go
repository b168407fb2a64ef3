package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
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
		before := slices.Clone(roots)
		m, err := check.Within(t, "Mark of "+c.what, "its return", func() (map[digest.Digest]bool, error) { return Mark(roots, c.graph.children(t.Context(), asked)) }, check.Often(true, "nobody notes what was visited: loops are followed for ever"))
		check.NoError(t, "Mark of "+c.what, err)
		check.Equal(t, "Mark of "+c.what, c.want, marked(m, 10), check.Often(c.why != "", c.why))
		check.Equal(t, "the caller's roots afterwards", before, roots, check.Often(true, "the caller's slice is used as the list of what is still to be looked at"))
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

var hexRest = regexp.MustCompile(`([0-9a-f]{12})[0-9a-f]{52}`)

// holds says what is missing in a store, and what is too much.
func holds(t testing.TB, s *Store, when, want string, causes ...check.Cause) {
	t.Helper()
	is, should := strings.Fields(contents(t, s)), strings.Fields(want)
	without := func(all, some []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(some, name) }), " ")
	}
	missing, more := without(should, is), without(is, should)
	check.True(t, "the store "+when, missing == "" && more == "", hexRest.ReplaceAllString(fmt.Sprintf("missing: %q, too much: %q", missing, more), "$1…"), "neither", causes...)
}

func collect(t testing.TB, s *Store, o CollectOptions) Collected {
	t.Helper()
	c, err := tryCollect(t, s, o)
	check.NoError(t, "Collect", err)
	return c
}

func tryCollect(t testing.TB, s *Store, o CollectOptions) (Collected, error) {
	t.Helper()
	return check.Within(t, "Collect", "its return", func() (Collected, error) { return s.Collect(t.Context(), o) },
		check.Often(true, "an earlier Collect keeps the store's lock"))
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
	holds(t, s, "afterwards", before)

	// A snapshot keeps the layers below it, not the blobs they came in.
	sn, err := s.Prepare(t.Context(), "container", other.Chain())
	check.NoError(t, "Prepare", err)
	check.NoError(t, "Untag", s.Untag(t.Context(), "other:1"))
	dry := collect(t, s, CollectOptions{DryRun: true})
	check.Equal(t, "blobs that a dry run would remove: manifest, config, a layer", 3, dry.Blobs)
	holds(t, s, "after a dry run", before+" active/container")
	c := collect(t, s, CollectOptions{})
	check.Equal(t, "what Collect removes", dry, c)
	check.Equal(t, "layers that Collect removes", 0, c.Layers, check.Often(true, noSnapshots))
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
	holds(t, s, "without an image", "")
	check.True(t, "bytes", c.Bytes > 0, "0", "what the disk has again")

	t.Run("layers below those in use", keepsTheLayersBelow)
	t.Run("an image of an index", keepsAnImageOfAnIndex)
	t.Run("a manifest that is called a layer", keepsAManifestThatIsCalledALayer)
	t.Run("hostile and damaged manifests", collectsAmongHostileManifests)
	t.Run("steps and snapshots that cannot be read", removesNothingUnread)
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
	holds(t, s, "after Collect, downloads of the last hour stay", before+" ingest/"+hex)
	check.Equal(t, "layers that no config names", 1, c.Layers)
	check.Equal(t, "steps that are no JSON", 2, c.Steps)
	collect(t, s, CollectOptions{})
	holds(t, s, "after Collect", before)
	t.Run("what refers goes first", stopsWhereItCannotSweep)
}

// Sweeping breaks off at the layers: here a file is where their folder should be.
func stopsWhereItCannotSweep(t *testing.T) {
	s := newStore(t)
	d := putBlob(t, s, "text/plain", text)
	putFile(t, s.Path("cache", digestOf(1).Encoded()), "{}")
	putFile(t, s.Path("ingest", "new-1"), "x")
	check.NoError(t, "remove layers/", os.RemoveAll(s.Path("layers")))
	putFile(t, s.Path("layers"), "x")
	c, err := tryCollect(t, s, CollectOptions{})
	check.True(t, "Collect, layers/ is no folder", err != nil, "no error", "an error")
	check.True(t, "the blob, Collect broke off at layers/", s.Blobs().Has(d.Digest), "gone", "there",
		check.Often(true, "blobs go before what refers to them, or although that could not be removed"))
	c.Bytes = 0
	check.Equal(t, "what Collect removed before it broke off", Collected{Steps: 1, Partial: 1}, c,
		check.Often(c == Collected{}, "what was removed is not said beside an error, or layers go before what refers to them"))
}

func TestCollect_StepsOfBuilds(t *testing.T) {
	exercise.Need(t, "3.10", "3.1", "3.2", "3.3", "3.5")
	sandbox.Need(t)
	s := newStore(t)
	img := putImage(t, s, "built:1", layerTar(t, layerFile{name: "base", text: "x"}), layerTar(t, layerFile{name: "file", text: "x"}))
	chain, err := s.Unpack(t.Context(), img, nil)
	check.NoError(t, "Unpack", err)
	want := Cached{Layer: img.Layers[1], DiffID: img.Config.RootFS.DiffIDs[1], Chain: chain}
	check.NoError(t, "PutCached", s.PutCached(digestOf(1), want))
	check.NoError(t, "Untag", s.Untag(t.Context(), "built:1"))
	c := collect(t, s, CollectOptions{Steps: time.Hour})
	check.Equal(t, "blobs removed: manifest, config, the base's layer", 3, c.Blobs, check.Often(c.Blobs == 4, "the step is kept, but not what it made"))
	check.Equal(t, "layers removed: the step's and the one below stay", 0, c.Layers, check.Often(c.Layers == 1, "a layer is kept, but not those below it"))
	_, err = s.Lowers(chain)
	check.NoError(t, "the step's layers", err)
	got, err := s.Cached(digestOf(1))
	check.NoError(t, "Cached", err)
	check.Equal(t, "Cached", want, got)
	_, err = s.Cached(digestOf(2))
	check.ErrorIs(t, "Cached of another key", err, ErrNotFound)
	old := time.Now().Add(-2 * time.Hour)
	check.NoError(t, "age it", os.Chtimes(s.Path("cache", digestOf(1).Encoded()), old, old))
	collect(t, s, CollectOptions{Steps: time.Hour})
	holds(t, s, "once the step is old", "")
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

	// While it waits, what is added gets its name.
	waiting, ended := &listened{Context: t.Context(), now: make(chan struct{})}, make(chan error, 1)
	go func() {
		_, err := s.Collect(waiting, CollectOptions{})
		ended <- err
	}()
	check.Within(t, "Collect while another adds", "it to wait, and to listen to its context meanwhile", func() (int, error) { <-waiting.now; return 0, nil })
	check.NoError(t, "Tag", s.Tag(t.Context(), "added:1", d))
	unlock()
	_, err = check.Within(t, "Collect, nobody adds any more", "its return", func() (int, error) { return 0, <-ended })
	check.NoError(t, "Collect, nobody adds any more", err)
	check.True(t, "a blob that got its name while Collect waited", s.Blobs().Has(d.Digest), "gone", "there",
		check.Often(true, "what is in use is looked for before the lock is held: what gets its name meanwhile is swept"))

	check.NoError(t, "Untag", s.Untag(t.Context(), "added:1"))
	check.Equal(t, "blobs removed afterwards", 1, collect(t, s, CollectOptions{}).Blobs)
	t.Run("nobody adds meanwhile", letsNobodyAddMeanwhile)
}

// What a snapshot's parent is, a pipe tells: while Collect reads it, it stands still.
func letsNobodyAddMeanwhile(t *testing.T) {
	s := newStore(t)
	parent := s.Path("active", "x", "parent")
	check.NoError(t, "make a snapshot", os.Mkdir(s.Path("active", "x"), 0o755))
	check.NoError(t, "make a pipe", unix.Mkfifo(parent, 0o600))
	ended := make(chan error, 1)
	go func() {
		_, err := s.Collect(t.Context(), CollectOptions{})
		ended <- err
	}()
	for _, when := range []string{"looks what is in use", "sweeps"} {
		pipe, err := check.Within(t, "Collect, as it "+when, "it to read the snapshot's parent", func() (*os.File, error) { return os.OpenFile(parent, os.O_WRONLY, 0) },
			check.Often(true, noSnapshots))
		check.NoError(t, "open the pipe", err)
		if next := parent + ".next"; when == "sweeps" { // whoever reads it once more need not wait
			putFile(t, next, "none")
			check.NoError(t, "replace the pipe", os.Rename(next, parent))
		} else {
			check.NoError(t, "make a pipe", unix.Mkfifo(next, 0o600))
			check.NoError(t, "replace the pipe", os.Rename(next, parent))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		unlock, err := s.Share(ctx)
		if err == nil {
			unlock()
		}
		pipe.WriteString("none")
		pipe.Close()
		check.ErrorIs(t, "Share while Collect "+when, err, context.DeadlineExceeded,
			check.Often(err == nil, "the lock is not held all the time: who adds between mark and sweep loses it"))
	}
	_, err := check.Within(t, "Collect, once it knows the parent", "its return", func() (int, error) { return 0, <-ended })
	check.NoError(t, "Collect", err)
}
