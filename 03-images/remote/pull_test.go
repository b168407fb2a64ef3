package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

// resolve is Resolve with a deadline.
func resolve(t testing.TB, c *Client, ref Reference) (Descriptor, []byte, error) {
	t.Helper()
	var data []byte
	d, err := check.Within(t, "Resolve", "its return", func() (d Descriptor, err error) {
		d, data, err = c.Resolve(t.Context(), ref)
		return d, err
	})
	return d, data, err
}

const believed = "what the registry says of itself is taken for the truth: only the bytes that came have a digest"

func TestResolve_WhatCame(t *testing.T) {
	exercise.Need(t, "3.6")
	img := newImage(t, images.HostPlatform(), files{"a": "1"})
	f := newFake(t, img)
	c, _ := newClient(t, Options{})
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Docker-Content-Digest", string(digest.FromString("another")))
		return false
	}
	for _, object := range []string{":1", "@" + string(img.manifest.Digest)} {
		d, data, err := resolve(t, c, f.ref(t, object))
		check.NoError(t, "Resolve("+object+")", err)
		check.Equal(t, "its descriptor", img.manifest, d, check.Often(d.Digest == digest.FromString("another"), believed))
		check.Equal(t, "its bytes", string(img.blobs[d.Digest]), string(data))
	}
	_, _, err := resolve(t, c, f.ref(t, ":2"))
	check.ErrorIs(t, "Resolve of a tag that is not there", err, images.ErrNotFound)

	// A registry, or who sits before it, that answers with something else.
	wanted := f.ref(t, "@"+string(img.manifest.Digest))
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Docker-Content-Digest", string(img.manifest.Digest))
		w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
		fmt.Fprint(w, `{"schemaVersion":2}`)
		return true
	}
	_, _, err = resolve(t, c, wanted)
	check.ErrorIs(t, "Resolve by digest, something else comes", err, images.ErrMismatch, check.Often(err == nil, believed))
	check.ErrorHas(t, "Resolve by digest, something else comes", err, []string{string(img.manifest.Digest), string(digest.FromString(`{"schemaVersion":2}`))})

	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		w.Write(bytes.Repeat([]byte(" "), 10<<20))
		return true
	}
	_, _, err = resolve(t, c, f.ref(t, ":1"))
	check.ErrorIs(t, "Resolve of a manifest of 10 MB", err, images.ErrTooLarge)
}

func TestPull_ThePlatformsImage(t *testing.T) {
	exercise.Need(t, "3.6", "3.1", "3.2", "3.3", "3.5")
	noLeaks(t)
	other := newImage(t, v1.Platform{OS: "linux", Architecture: "s390x"}, files{"a": "not for us"})
	img := newImage(t, images.HostPlatform(), files{"a": "1", "b": "1"}, files{"b": "2"})
	for d, data := range other.blobs {
		img.blobs[d] = data
	}
	img.types[other.manifest.Digest] = v1.MediaTypeImageManifest
	list := v1.Index{MediaType: v1.MediaTypeImageIndex}
	list.SchemaVersion = 2
	for _, d := range []Descriptor{other.manifest, img.manifest} {
		p := v1.Platform{OS: "linux", Architecture: "s390x"}
		if d.Digest == img.manifest.Digest {
			p = images.HostPlatform()
		}
		d.Platform = &p
		list.Manifests = append(list.Manifests, d)
	}
	index := img.json(t, v1.MediaTypeImageIndex, list)
	img.types[index.Digest] = index.MediaType

	f, s := newFake(t, img), newStore(t)
	f.tags["many"] = index.Digest
	c, _ := newClient(t, Options{})
	for object, target := range map[string]Descriptor{":1": img.manifest, ":many": index} {
		ref, said := f.ref(t, object), &ready{img: img, store: s}
		got, err := pull(t, c, s, ref, PullOptions{Progress: said.note})
		check.NoError(t, "Pull of "+object, err, check.Often(errors.Is(err, images.ErrNotFound), "a layer is finished before the one below it is there"))
		check.Equal(t, "what Pull returns", target, got)
		check.Equal(t, "layers that were ready before they were there", 0, said.early)
		check.Equal(t, "layers that were ready, how often", "1 1", fmt.Sprint(said.layers[0], said.layers[1]), check.Often(said.layers == [2]int{}, "nobody says that a layer is ready"))
		named, err := s.Tagged(ref.String())
		check.NoError(t, "the name in the store", err, check.Often(errors.Is(err, images.ErrNotFound), "the name is not the full one, registry and tag included"))
		check.Equal(t, "what the name stands for", target.Digest, named.Digest,
			check.Often(named.Digest == img.manifest.Digest, "the index is left out: its name stands for something else than in the registry"))
		read, err := s.Image(ref.String(), images.HostPlatform())
		check.NoError(t, "read the image back", err)
		check.Equal(t, "its manifest", img.manifest.Digest, read.Manifest.Digest)
	}
	check.Equal(t, "the lower layer", files{"a": "1", "b": "1"}, contents(t, s, img.chains[0]))
	check.Equal(t, "the upper layer", files{"b": "2"}, contents(t, s, img.chains[1]))
	for _, chain := range img.chains {
		_, err := os.Stat(s.Path("layers", chain.Encoded(), "synced"))
		check.NoError(t, "that an unpacked layer is on the disk", err, check.Often(true, "nobody called Sync: after a power loss the layers are not believed"))
	}
	for d := range other.blobs {
		check.Equal(t, "requests for another platform's "+string(d), 0, f.asked("GET blobs/"+string(d))+f.asked("GET manifests/"+string(d)))
	}
	own, s390x := newStore(t), v1.Platform{OS: "linux", Architecture: "s390x"}
	_, err := pull(t, c, own, f.ref(t, ":many"), PullOptions{Platform: &s390x})
	check.NoError(t, "Pull for linux/s390x", err)
	_, err = own.LayerPath(other.chains[0])
	check.NoError(t, "the layer for linux/s390x", err, check.Often(true, "o.Platform is not asked"))

	nobodyCollects(t, c, f)
	unlock, err := check.Within(t, "Alone after Pull", "the store's lock", func() (func(), error) { return s.Alone(t.Context()) },
		check.Often(true, "the store is never given back"))
	check.NoError(t, "Alone after Pull", err)
	unlock()
}

func TestPull_BelievesNothing(t *testing.T) {
	exercise.Need(t, "3.6", "3.1", "3.2", "3.3", "3.5")
	noLeaks(t)
	img := newImage(t, images.HostPlatform(), files{"a": "1"}, files{"b": strings.Repeat("2", 1000)})
	layer := img.spec.Layers[1]
	lie := newImage(t, images.HostPlatform(), files{"a": "1"}, files{"b": "2"})
	lie.spec.Layers[1].Digest, lie.spec.Layers[1].Size = layer.Digest, layer.Size // its config says another diff ID
	lie.blobs[layer.Digest] = img.blobs[layer.Digest]
	lie.manifest = lie.json(t, v1.MediaTypeImageManifest, lie.spec)
	lie.types[lie.manifest.Digest] = v1.MediaTypeImageManifest

	sized := newImage(t, images.HostPlatform(), files{"b": "3"})
	list := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []Descriptor{sized.manifest}}
	list.SchemaVersion = 2
	list.Manifests[0].Size--
	index := sized.json(t, v1.MediaTypeImageIndex, list)
	sized.types[index.Digest] = index.MediaType

	replace := func(path digest.Digest, data func(right []byte) []byte) func(*fake) {
		return func(f *fake) {
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, string(path)) {
					w.Write(data(bytes.Clone(f.image.blobs[path])))
					return true
				}
				return false
			}
		}
	}
	big := newImage(t, images.HostPlatform(), files{"c": random(6 << 20)}) // more than buffer
	tall := newImage(t, images.HostPlatform(), files{"a": "low"}, files{"b": "2"}, files{"c": "3"})
	gone := func(d digest.Digest) func(*fake) {
		return func(f *fake) { f.image = &image{blobs: without(f.image.blobs, d), types: f.image.types} }
	}

	for did, c := range map[string]struct {
		img   *image
		layer int // the false one
		fault func(*fake)
		want  error
	}{
		"a layer with another byte": {img, 1, replace(layer.Digest, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), nil},
		"a layer that is well packed, and another one": {img, 1, replace(layer.Digest, func(b []byte) []byte {
			return gzipped(files{"b": "evil"}.tar(t))
		}), nil},
		"a layer whose files are right, packed otherwise": {img, 1, replace(layer.Digest, func(b []byte) []byte { b[9] ^= 1; return b }), images.ErrMismatch},              // RFC 1952: the operating system
		"a layer that cannot be unpacked for a byte":      {img, 1, replace(layer.Digest, func(b []byte) []byte { b[10] |= 6; return b }), images.ErrMismatch},             // RFC 1951: no type of block
		"a layer of 6 MiB with another first byte":        {big, 0, replace(big.spec.Layers[0].Digest, func(b []byte) []byte { b[0] ^= 1; return b }), images.ErrMismatch}, // gunzip gives up at once
		"a manifest of another size than its index says":  {sized, 0, func(f *fake) { f.tags["1"] = index.Digest }, images.ErrMismatch},
		"a layer with bytes after it":                     {img, 1, replace(layer.Digest, func(b []byte) []byte { return append(b, 0) }), images.ErrTooLarge},
		"a layer of another diff ID":                      {lie, 1, func(*fake) {}, images.ErrMismatch},
		"a config with another byte":                      {img, 1, replace(img.spec.Config.Digest, func(b []byte) []byte { b[3] ^= 1; return b }), images.ErrMismatch},
		"a config of 10 MB":                               {img, 1, replace(img.spec.Config.Digest, func(b []byte) []byte { return make([]byte, 10<<20) }), nil},
		"a layer that is not there":                       {img, 1, gone(layer.Digest), images.ErrNotFound},
		"two layers on one that is not there":             {tall, 0, gone(tall.spec.Layers[0].Digest), images.ErrNotFound},
		"an endless layer":                                {img, 1, endless(layer.Digest), nil},
		"an endless layer without its length":             {img, 1, endlessChunks(layer.Digest), nil},
	} {
		f, s := newFake(t, c.img), newStore(t)
		f.tags["1"] = c.img.manifest.Digest
		c.fault(f)
		client, _ := newClient(t, Options{})
		_, err := check.Within(t, "Pull of "+did, "its return", func() (Descriptor, error) {
			return client.Pull(t.Context(), s, f.ref(t, ":1"), PullOptions{})
		}, check.Often(c.img == big, "nobody reads the other end of the buffer once the unpack has failed"),
			check.Often(c.img == tall, "who waits for a layer that has failed waits on: its ctx is the caller's, not the group's"))
		check.ErrorHas(t, "Pull of "+did, err, []string{"pull " + f.ref(t, ":1").String()})
		check.True(t, "Pull of "+did, !strings.Contains(err.Error(), "\n"), err.Error(), "one line")
		bad := left(t, s)
		for _, chain := range c.img.chains[c.layer:] {
			check.True(t, "after Pull of "+did, !strings.Contains(bad, "/app") && !strings.Contains(bad, chain.Encoded()), bad, "no name, and no layer that was not true",
				check.Often(strings.Contains(bad, "/app"), "the name is given before everything is there"),
				check.Often(true, "the layer is unpacked and kept before its blob's digest is known"))
		}
		if c.want != nil {
			check.ErrorIs(t, "Pull of "+did, err, c.want, check.Often(c.want == images.ErrMismatch && c.img != lie, "the unpack's error ends the download, or comes before its error"))
		}
		if c.img == lie { // whose blob is what it should be
			continue
		}
		_, err = os.Stat(s.Blobs().Path(c.img.spec.Layers[c.layer].Digest))
		check.ErrorIs(t, "the blob after Pull of "+did, err, fs.ErrNotExist)
		if c.img == sized {
			continue
		}
		f.fault, f.image = nil, c.img // and now the registry is well
		_, err = pull(t, client, s, f.ref(t, ":1"), PullOptions{})
		check.NoError(t, "Pull again, after "+did, err,
			check.Often(errors.Is(err, context.DeadlineExceeded), "a Writer is not closed where the download failed: its lock is never given back"))
	}
}

func TestPull_AllAtOnce(t *testing.T) {
	exercise.Need(t, "3.6", "3.1", "3.2", "3.3", "3.5")
	noLeaks(t)
	// Most of the layer comes, and its end only when somebody has begun to unpack it.
	img := newImage(t, images.HostPlatform(), files{"a": random(1 << 20), "b": "1"}, files{"c": "2"}, files{"d": "3"})
	f, s := newFake(t, img), newStore(t)
	c, _ := newClient(t, Options{})
	var began, alone atomic.Int32
	all := make(chan struct{})
	unpacking := make(chan bool, 10) // nobody waits there, however often the layer is asked for
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		d := digest.Digest(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		switch d {
		case img.spec.Layers[0].Digest, img.spec.Layers[1].Digest, img.spec.Layers[2].Digest:
		default:
			return false
		}
		if began.Add(1) == 3 {
			close(all)
		}
		select {
		case <-all:
		case <-time.After(check.Deadline / 5):
			alone.Add(1)
			return false
		}
		if d != img.spec.Layers[0].Digest {
			return false
		}
		data := img.blobs[d]
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:len(data)-100])
		w.(http.Flusher).Flush()
		seen := false
		for end := time.Now().Add(check.Deadline - 2*time.Second); !seen && time.Now().Before(end); time.Sleep(time.Millisecond) {
			grown, _ := filepath.Glob(s.Path("layers", "*", "fs", "a"))
			seen = len(grown) > 0
		}
		unpacking <- seen
		w.Write(data[len(data)-100:])
		return true
	}
	_, err := pull(t, c, s, f.ref(t, ":1"), PullOptions{})
	check.True(t, "Pull of three layers", alone.Load() == 0, "one after another", "all three asked for before the first one has come", check.Often(true, "the layers are asked for one by one"))
	check.NoError(t, "Pull of three layers", err)
	check.True(t, "while the first layer came", <-unpacking, "no file of it", "files",
		check.Often(true, "a layer is downloaded whole before anybody begins to unpack it"))
	check.Equal(t, "a small layer", files{"c": "2"}, contents(t, s, img.chains[1]))
	twoAtOnce(t, c, img)
}

// twoAtOnce holds the lowest layer back and looks what becomes of the others.
func twoAtOnce(t *testing.T, c *Client, img *image) {
	t.Helper()
	f, s := newFake(t, img), newStore(t)
	unpacked := func(name string) bool {
		found, _ := filepath.Glob(s.Path("layers", "*", "fs", name))
		return len(found) > 0
	}
	third := make(chan struct{})
	var free, second, last, early atomic.Bool
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		switch d := digest.Digest(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]); d {
		case img.spec.Layers[0].Digest:
			for end := time.Now().Add(check.Deadline / 2); !last.Load() && time.Now().Before(end); time.Sleep(time.Millisecond) {
				second.Store(unpacked("c"))
				last.Store(unpacked("d"))
			}
			free.Store(true)
		case img.spec.Layers[1].Digest:
			select { // who asks for all at once asks for the third now
			case <-third:
			case <-time.After(check.Deadline / 50):
			}
		case img.spec.Layers[2].Digest:
			early.Store(!free.Load() && !unpacked("c"))
			close(third)
		}
		return false
	}
	_, err := pull(t, c, s, f.ref(t, ":1"), PullOptions{Parallel: 2})
	check.NoError(t, "Pull of three layers, two at once", err)
	check.True(t, "Pull of three layers, two at once", !early.Load(), "the third was asked for with the first two", "not before one of them was unpacked",
		check.Often(true, "Parallel is no limit"))
	check.True(t, "while the lowest layer is held back", second.Load(), "no file of the second", "files",
		check.Often(true, "a layer is unpacked only once the one below it is there"))
	check.True(t, "while the lowest layer is held back", last.Load(), "no file of the third", "files",
		check.Often(true, "a slot is kept while its layer only waits for the one below"))
}

func TestPull_WhatIsThere(t *testing.T) {
	exercise.Need(t, "3.6", "3.1", "3.2", "3.3", "3.5")
	noLeaks(t)
	same := files{"a": strings.Repeat("again and again ", 1000)}
	img := newImage(t, images.HostPlatform(), files{"z": "0"}, same, files{"b": "2"}, same)
	f, s := newFake(t, img), newStore(t)
	ref := f.ref(t, ":1")
	c, _ := newClient(t, Options{})
	twice := img.spec.Layers[1]

	// A download that broke off, in another process.
	w, err := s.Blobs().Create(t.Context(), img.spec.Layers[2])
	check.NoError(t, "Create", err)
	_, err = w.Write(img.blobs[img.spec.Layers[2].Digest][:40])
	check.NoError(t, "Write", err)
	w.Close()
	asked := make(chan string, 10)
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, string(img.spec.Layers[2].Digest)) {
			asked <- r.Header.Get("Range")
		}
		return false
	}
	_, err = pull(t, c, s, ref, PullOptions{Parallel: 4})
	at := "nothing"
	select {
	case at = <-asked:
	default:
	}
	begun := check.Often(at == "", "what an earlier try left is not gone on with")
	check.NoError(t, "Pull of an image that has a layer twice, and of another the beginning", err, begun)
	check.True(t, "Range for a layer of which 40 bytes are here", strings.HasPrefix(at, "bytes=40-"), at, "bytes=40-…", begun)
	check.Equal(t, "requests for the layer that is there twice", 1, f.asked("GET blobs/"+string(twice.Digest)))
	for _, chain := range []int{1, 3} {
		check.Equal(t, "the layer that is there twice", same, contents(t, s, img.chains[chain]))
	}
	before := f.asked("GET blobs/" + string(twice.Digest))
	_, err = pull(t, c, s, ref, PullOptions{})
	check.NoError(t, "Pull again", err)
	for _, l := range img.spec.Layers {
		check.Equal(t, "requests for a layer that is there", before, f.asked("GET blobs/"+string(l.Digest)))
	}

	// The layer is there unpacked, its blob is not: it is wanted all the same, to push
	// it or to save it, and nobody reads what would go to who unpacks.
	big := newImage(t, images.HostPlatform(), files{"a": random(6 << 20)})
	f2, s2 := newFake(t, big), newStore(t)
	_, err = pull(t, c, s2, f2.ref(t, ":1"), PullOptions{})
	check.NoError(t, "Pull", err)
	check.NoError(t, "remove the blob", os.Remove(s2.Blobs().Path(big.spec.Layers[0].Digest)))
	ctx, cancel := context.WithTimeout(t.Context(), check.Deadline-2*time.Second)
	defer cancel()
	_, err = check.Within(t, "Pull of an image whose layer is unpacked and whose blob is gone", "its return",
		func() (Descriptor, error) { return c.Pull(ctx, s2, f2.ref(t, ":1"), PullOptions{}) },
		check.Often(true, "nobody reads the other end of the buffer where the layer is there already"))
	check.NoError(t, "Pull of an image whose layer is unpacked and whose blob is gone", err)
	_, err = os.Stat(s2.Blobs().Path(big.spec.Layers[0].Digest))
	check.NoError(t, "the blob afterwards", err)

	// Ended in the middle.
	s3 := newStore(t)
	ending, cancel := context.WithCancel(t.Context())
	f2.fault = func(w http.ResponseWriter, r *http.Request) bool {
		data := big.blobs[big.spec.Layers[0].Digest]
		if !strings.HasSuffix(r.URL.Path, string(big.spec.Layers[0].Digest)) {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:len(data)/2])
		cancel()
		<-r.Context().Done()
		return true
	}
	_, err = check.Within(t, "Pull whose context ends", "its return", func() (Descriptor, error) { return c.Pull(ending, s3, f2.ref(t, ":1"), PullOptions{}) })
	check.ErrorIs(t, "Pull whose context ends", err, context.Canceled)
	rest := left(t, s3)
	check.Equal(t, "what it leaves", "", rest, check.Often(err == nil, "an ended context is taken for the end of the work"),
		check.Often(strings.Contains(rest, "/app"), "the name is given before everything is there"),
		check.Often(strings.Contains(rest, big.manifest.Digest.Encoded()), "manifests are kept before the last layer"))
	endedBetween(t, c)
}

// endedBetween ends a pull once the lowest layer is there and the others have not begun.
func endedBetween(t *testing.T, c *Client) {
	t.Helper()
	low := files{"a": "1"}
	img := newImage(t, images.HostPlatform(), low, files{"b": "2"}, files{"c": "3"})
	f, s := newFake(t, img), newStore(t)
	_, err := pull(t, c, s, newFake(t, newImage(t, images.HostPlatform(), low)).ref(t, ":1"), PullOptions{})
	check.NoError(t, "Pull of the lowest layer alone", err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, string(img.spec.Layers[1].Digest)) || strings.HasSuffix(r.URL.Path, string(img.spec.Layers[2].Digest)) {
			select { // who has begun already gets nothing
			case <-ctx.Done():
			case <-time.After(check.Deadline / 5):
			}
		}
		return false
	}
	_, err = check.Within(t, "Pull whose context ends between two layers", "its return", func() (Descriptor, error) {
		return c.Pull(ctx, s, f.ref(t, ":1"), PullOptions{Parallel: 1, Progress: func(e images.Event) {
			if e.Stage == images.Ready {
				cancel()
			}
		}})
	})
	check.ErrorIs(t, "Pull whose context ends between two layers", err, context.Canceled,
		check.Often(err == nil && ctx.Err() != nil, "slot's error is dropped: layers that never began are not missed"))
	_, err = s.Tagged(f.ref(t, ":1").String())
	check.ErrorIs(t, "the name of an image of which two layers are missing", err, images.ErrNotFound)
}
