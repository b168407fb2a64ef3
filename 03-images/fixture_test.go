package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// overlays: attributes that a mount with userxattr needs, where the tests' files are.
var overlays = sandbox.Feature{Name: "attributes of users on tmpfs", Fix: "Linux 6.6 or newer, or a /var/tmp on ext4, xfs or btrfs",
	Has: func() error {
		dir, err := os.MkdirTemp("", "overlay-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		return unix.Setxattr(dir, "user.overlay.opaque", []byte("y"), 0)
	}}

// storeOwners is how this sandbox keeps owners.
func storeOwners() Owners {
	if sandbox.CurrentMode() == sandbox.Single {
		return Single
	}
	return Kernel
}

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"), storeOwners())
	check.NoError(t, "Open a new store", err)
	return s
}

// putBlob adds a blob past what is tested here.
func putBlob(t testing.TB, s *Store, mediaType string, data []byte) Descriptor {
	t.Helper()
	d := Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	check.NoError(t, "write a blob", os.WriteFile(s.Path("blobs", "sha256", d.Digest.Encoded()), data, 0o644))
	return d
}

func putJSON(t testing.TB, s *Store, mediaType string, v any) Descriptor {
	t.Helper()
	data, err := json.Marshal(v)
	check.NoError(t, "make JSON", err)
	return putBlob(t, s, mediaType, data)
}

// A layerFile is an entry of a layer: a folder if its name ends in "/".
type layerFile struct {
	name, text string
	mode       int64 // 0: 0644, or 0755 of a folder
}

func layerTar(t testing.TB, files ...layerFile) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), Typeflag: tar.TypeReg}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		check.NoError(t, "make a tar", w.WriteHeader(h))
		_, err := w.Write([]byte(f.text))
		check.NoError(t, "make a tar", err)
	}
	check.NoError(t, "make a tar", w.Close())
	return buf.Bytes()
}

// putImage puts an image of these tars into the store, and gives it a name.
func putImage(t testing.TB, s *Store, name string, layers ...[]byte) *Image {
	t.Helper()
	config := configOf(layers...)
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for _, layer := range layers {
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
		w.Write(layer)
		w.Close()
		m.Layers = append(m.Layers, putBlob(t, s, v1.MediaTypeImageLayerGzip, packed.Bytes()))
	}
	m.Config = putJSON(t, s, v1.MediaTypeImageConfig, config)
	check.NoError(t, "Tag", s.Tag(t.Context(), name, putJSON(t, s, v1.MediaTypeImageManifest, m)))
	img, err := s.Image(name, HostPlatform())
	check.NoError(t, "Image("+name+")", err)
	return img
}

func configOf(layers ...[]byte) v1.Image {
	config := v1.Image{Platform: HostPlatform(), RootFS: v1.RootFS{Type: "layers"}}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(layer))
	}
	return config
}

// chainOf is a chain ID for a test.
func chainOf(name string) digest.Digest { return digest.FromString(name) }

// addLayer adds a layer whose files are made by fill.
func addLayer(t testing.TB, s *Store, name, parent string, fill func(dir string) Applied) digest.Digest {
	t.Helper()
	var below digest.Digest
	if parent != "" {
		below = chainOf(parent)
	}
	err := s.AddLayer(t.Context(), chainOf(name), below, func(dir string) (Applied, error) { return fill(dir), nil })
	check.NoError(t, "AddLayer of "+name, err)
	return chainOf(name)
}

// files makes files of these names, with their names in them.
func files(t testing.TB, names ...string) func(dir string) Applied {
	return func(dir string) Applied {
		for _, name := range names {
			putFile(t, filepath.Join(dir, name), name)
		}
		return Applied{}
	}
}

func putFile(t testing.TB, path, text string) {
	t.Helper()
	check.NoError(t, "make the folder", os.MkdirAll(filepath.Dir(path), 0o755))
	check.NoError(t, "write "+path, os.WriteFile(path, []byte(text), 0o644))
}

// mounted is where a tree is mounted until the test ends.
func mounted(t testing.TB, mount func(target string) error) string {
	t.Helper()
	target := t.TempDir()
	check.NoError(t, "mount", mount(target))
	t.Cleanup(func() { check.NoError(t, "unmount", unix.Unmount(target, 0)) })
	return target
}

// list names what is in a folder, with one space between.
func list(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check.NoError(t, "list "+dir, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// another runs a helper in a process of its own.
func another(ctx context.Context, name string, arg ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", arg...)
	cmd.Args[0] = "test:" + name
	return cmd
}
