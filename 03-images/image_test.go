package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestImage_IsFound(t *testing.T) {
	exercise.NeedAll(t)
	s := newStore(t)
	a := putImage(t, s, "docker.io/library/a:1", layerTar(t, layerFile{name: "file", text: "a"}))
	b := putImage(t, s, "docker.io/library/b:1", layerTar(t, layerFile{name: "file", text: "b"}))
	check.NoError(t, "Tag", s.Tag(t.Context(), "docker.io/library/a:2", a.Target))
	for name, want := range map[string]*Image{
		"docker.io/library/a:1": a, "docker.io/library/b:1": b, string(a.Manifest.Digest): a, string(b.ID): b,
		a.ID.Encoded()[:12]: a, strings.ToUpper(b.Manifest.Digest.Encoded()[:9]): b, "sha256:" + a.ID.Encoded()[:12]: a,
	} {
		img, err := s.Image(name, HostPlatform())
		check.NoError(t, "Image("+name+")", err)
		check.Equal(t, "Image("+name+")", want.ID, img.ID)
	}
	check.Equal(t, "the layers' number", 1, len(a.Layers))
	check.Equal(t, "its chain", a.Config.RootFS.DiffIDs[0], a.Chain())
	for _, name := range []string{"docker.io/library/c:1", "", "abc", "0123456789ab", string(digestOf(1)), "sha256:", "../../index.json", "*"} {
		_, err := s.Image(name, HostPlatform())
		check.ErrorIs(t, fmt.Sprintf("Image(%q)", name), err, ErrNotFound)
	}
	_, err := s.Image("docker.io/library/a:1", v1.Platform{OS: "linux", Architecture: "s390x"})
	check.NoError(t, "Image of a manifest, whatever platform is asked for", err)

	check.NoError(t, "Untag", s.Untag(t.Context(), "docker.io/library/b:1"))
	img, err := s.Image(string(b.Manifest.Digest), HostPlatform())
	check.NoError(t, "Image by the whole digest, without a name", err)
	check.Equal(t, "its descriptor", b.Manifest, img.Manifest)
	check.Equal(t, "its target", b.Manifest, img.Target)
}

func TestImage_AmbiguousID(t *testing.T) {
	exercise.NeedAll(t)
	s := newStore(t)
	// Images until two IDs begin alike: among 1000 of 65536 that is certain.
	seen := map[string][]byte{}
	for i := 0; ; i++ {
		layer := layerTar(t, layerFile{name: "file", text: fmt.Sprint(i)})
		config, _ := json.Marshal(configOf(layer))
		begin := digest.FromBytes(config).Encoded()[:4]
		if other, ok := seen[begin]; ok {
			putImage(t, s, "image:1", other)
			putImage(t, s, "image:2", layer)
			_, err := s.Image(begin, HostPlatform())
			check.ErrorHas(t, "Image by four digits that two IDs begin with", err, []string{"image:1", "image:2", "more digits"})
			return
		}
		seen[begin] = layer
	}
}

func TestImage_HostileIndexes(t *testing.T) {
	exercise.NeedAll(t)
	s := newStore(t)
	good := putImage(t, s, "good:1", layerTar(t, layerFile{name: "file", text: "x"}))
	index := func(list ...Descriptor) Descriptor {
		return putJSON(t, s, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: list})
	}
	deep := good.Manifest
	for range 10 {
		deep = index(deep)
	}
	lies := func(change func(*Descriptor)) Descriptor { d := good.Manifest; change(&d); return index(d) }
	// A digest cannot name itself; what can is a file that was put there under a
	// false name, so a loop is a blob that does not match.
	loop := index(Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: digestOf(1), Size: 300})
	data, _ := os.ReadFile(s.Blobs().Path(loop.Digest))
	data = bytes.ReplaceAll(data, []byte(digestOf(1).Encoded()), []byte(loop.Digest.Encoded()))
	check.NoError(t, "make a loop", os.WriteFile(s.Blobs().Path(loop.Digest), data, 0o644))
	loop.Size = int64(len(data))
	huge := putBlob(t, s, v1.MediaTypeImageManifest, bytes.Repeat([]byte(" "), 10<<20))
	for what, c := range map[string]struct {
		target Descriptor
		is     error
		says   string
	}{
		"ten indexes in one another":              {deep, nil, "indexes in one another"},
		"a loop":                                  {loop, ErrMismatch, loop.Digest.Encoded()},
		"a manifest of 10 MB":                     {huge, ErrTooLarge, "10485760"},
		"10 MB that are said to be 100 bytes":     {lies(func(d *Descriptor) { d.Digest, d.Size = huge.Digest, 100 }), ErrMismatch, "10"},
		"a manifest that is said to be longer":    {lies(func(d *Descriptor) { d.Size++ }), ErrMismatch, good.Manifest.Digest.Encoded()},
		"a manifest that is said to be shorter":   {lies(func(d *Descriptor) { d.Size-- }), ErrMismatch, good.Manifest.Digest.Encoded()},
		"a manifest that is said to be an index":  {lies(func(d *Descriptor) { d.MediaType = v1.MediaTypeImageIndex }), nil, "image.manifest"},
		"a manifest that is called something":     {lies(func(d *Descriptor) { d.MediaType = "text/html" }), nil, "text/html"},
		"a manifest that is not there":            {index(Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digestOf(7), Size: 7}), ErrNotFound, digestOf(7).Encoded()},
		"an empty index":                          {index(), ErrNotFound, "linux/"},
		"a config that is not there":              {withConfig(t, s, good, Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digestOf(8), Size: 7}), ErrNotFound, digestOf(8).Encoded()},
		"a config of another image, more layers":  {withConfig(t, s, good, putJSON(t, s, v1.MediaTypeImageConfig, v1.Image{})), nil, "diff IDs"},
		"a config that is said to have 2⁴⁰ bytes": {withConfig(t, s, good, Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: good.ID, Size: MaxBlob}), ErrTooLarge, good.ID.Encoded()},
	} {
		check.NoError(t, "Tag", s.Tag(t.Context(), "hostile:1", c.target))
		_, err := check.Within(t, "Image of "+what, "its return", func() (*Image, error) { return s.Image("hostile:1", HostPlatform()) })
		check.ErrorHas(t, "Image of "+what, err, []string{"hostile:1", c.says})
		if c.is != nil {
			check.ErrorIs(t, "Image of "+what, err, c.is)
		}
		check.True(t, "its message", len(err.Error()) < 500 && !strings.Contains(err.Error(), "\n"), err.Error(), "one line")
	}
}

func withConfig(t testing.TB, s *Store, img *Image, config Descriptor) Descriptor {
	t.Helper()
	m := img.Spec
	m.Config = config
	return putJSON(t, s, v1.MediaTypeImageManifest, m)
}

func TestUnpack_TheWholeImage(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	s := newStore(t)
	layers := [][]byte{layerTar(t, layerFile{name: "var/", mode: 0o711}, layerFile{name: "var/lib/", mode: 0o700}, layerFile{name: "below", text: "0"})}
	for i := 1; i < 8; i++ {
		layers = append(layers, layerTar(t, layerFile{name: fmt.Sprintf("var/lib/%d", i), text: fmt.Sprint(i)}, layerFile{name: "same", text: fmt.Sprint(i)}))
	}
	layers = append(layers, layerTar(t, layerFile{name: ".wh.below"}))
	img := putImage(t, s, "image:1", layers...)
	var mu sync.Mutex
	ready := 0
	chain, err := s.Unpack(t.Context(), img, func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Stage == Ready {
			ready++
		}
	})
	check.NoError(t, "Unpack", err)
	check.Equal(t, "its chain ID", img.Chain(), chain)
	check.Equal(t, "layers that were reported as ready", len(layers), ready)
	tree := mounted(t, func(target string) error { return s.MountReadonly(chain, target) })
	check.Equal(t, "/", "same var", list(t, tree))
	check.Equal(t, "/var/lib", "1 2 3 4 5 6 7", list(t, tree+"/var/lib"))
	same, _ := os.ReadFile(tree + "/same")
	check.Equal(t, "what seven layers wrote", "7", string(same))
	fi, err := os.Stat(tree + "/var/lib")
	check.NoError(t, "stat", err)
	check.Equal(t, "/var/lib, which the first layer alone names", "drwx------", fi.Mode().String())
	_, err = s.Unpack(t.Context(), img, nil)
	check.NoError(t, "Unpack of what is unpacked", err)
}

func TestUnpack_RefusesWhatIsNotTheLayer(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	good := layerTar(t, layerFile{name: "file", text: "x"})
	for what, spoil := range map[string]func(s *Store, img *Image){
		"the tar is not the config's": func(s *Store, img *Image) { img.Config.RootFS.DiffIDs[1] = digestOf(1) },
		"the blob was altered": func(s *Store, img *Image) {
			data, _ := os.ReadFile(s.Blobs().Path(img.Layers[1].Digest))
			data[9]++ // in gzip's header, which nobody looks at
			os.WriteFile(s.Blobs().Path(img.Layers[1].Digest), data, 0o644)
		},
		"bytes follow the blob": func(s *Store, img *Image) {
			f, _ := os.OpenFile(s.Blobs().Path(img.Layers[1].Digest), os.O_APPEND|os.O_WRONLY, 0)
			f.Write([]byte("more"))
			f.Close()
		},
		"the blob is shorter": func(s *Store, img *Image) { os.Truncate(s.Blobs().Path(img.Layers[1].Digest), img.Layers[1].Size-3) },
		"its size is a lie":   func(s *Store, img *Image) { img.Layers[1].Size++ },
		"it is not there":     func(s *Store, img *Image) { os.Remove(s.Blobs().Path(img.Layers[1].Digest)) },
	} {
		s := newStore(t)
		img := putImage(t, s, "image:1", good, layerTar(t, layerFile{name: "other", text: "y"}), layerTar(t, layerFile{name: "third", text: "z"}))
		spoil(s, img)
		_, err := check.Within(t, "Unpack, "+what, "its return", func() (digest.Digest, error) { return s.Unpack(t.Context(), img, nil) })
		check.ErrorHas(t, "Unpack, "+what, err, []string{"layer 2 of 3"})
		for i, chain := range ChainIDs(img.Config.RootFS.DiffIDs)[1:] {
			_, err := s.LayerPath(chain)
			check.ErrorIs(t, fmt.Sprintf("%s: LayerPath of layer %d", what, i+2), err, ErrNotFound)
		}
		check.True(t, "layers/ afterwards", !strings.Contains(list(t, s.Path("layers")), ".new"), list(t, s.Path("layers")), "nothing half done")
	}
}

func TestUnpack_Ends(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	s := newStore(t)
	img := putImage(t, s, "image:1", layerTar(t, layerFile{name: "a", text: "x"}), layerTar(t, layerFile{name: "b", text: "x"}), layerTar(t, layerFile{name: "c", text: "x"}))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := check.Within(t, "Unpack, its context ends", "its return", func() (digest.Digest, error) {
		return s.Unpack(ctx, img, func(Event) { cancel() })
	})
	check.True(t, "Unpack, its context ends", err == nil || errors.Is(err, context.Canceled), check.Error(err), "context canceled")
	_, err = s.Unpack(t.Context(), img, nil)
	check.NoError(t, "Unpack again", err)
}

func TestUnpack_TwoImagesThatShareLayers(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	s := newStore(t)
	var layers [][]byte
	for i := range 10 {
		layers = append(layers, layerTar(t, layerFile{name: fmt.Sprint("file", i), text: strings.Repeat("x", 1<<16)}))
	}
	var all sync.WaitGroup
	errs := make(chan error, 10)
	var imgs []*Image
	for i := range 4 {
		imgs = append(imgs, putImage(t, s, fmt.Sprint("image:", i), layers[:10-i]...))
	}
	for _, img := range imgs {
		all.Go(func() { _, err := s.Unpack(t.Context(), img, nil); errs <- err })
	}
	_, err := check.Within(t, "Unpack of four images that share layers, at once", "their return", func() (int, error) { all.Wait(); return 0, nil })
	check.NoError(t, "Unpack", err)
	for range 4 {
		check.NoError(t, "Unpack", <-errs)
	}
}
