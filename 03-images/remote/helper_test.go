package remote

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/sandbox"
)

// An image as a registry has it, in memory.
type image struct {
	blobs    map[digest.Digest][]byte // manifests too
	types    map[digest.Digest]string // of manifests
	manifest Descriptor
	spec     v1.Manifest
	chains   []digest.Digest
}

// files are what a layer brings: names and what is in them.
type files map[string]string

func (f files) tar(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	names := []string{}
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		check.NoError(t, "make a tar", w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(f[name])), Typeflag: tar.TypeReg}))
		w.Write([]byte(f[name]))
	}
	check.NoError(t, "make a tar", w.Close())
	return buf.Bytes()
}

func gzipped(data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(data)
	w.Close()
	return buf.Bytes()
}

func newImage(t testing.TB, p v1.Platform, layers ...files) *image {
	t.Helper()
	img := &image{blobs: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}}
	config := v1.Image{Platform: p, RootFS: v1.RootFS{Type: "layers"}}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for _, l := range layers {
		plain := l.tar(t)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		m.Layers = append(m.Layers, img.add(v1.MediaTypeImageLayerGzip, gzipped(plain)))
	}
	m.Config = img.json(t, v1.MediaTypeImageConfig, config)
	img.spec, img.chains = m, images.ChainIDs(config.RootFS.DiffIDs)
	img.manifest = img.json(t, v1.MediaTypeImageManifest, m)
	img.types[img.manifest.Digest] = img.manifest.MediaType
	return img
}

func (i *image) add(mediaType string, data []byte) Descriptor {
	d := Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	i.blobs[d.Digest] = data
	return d
}

func (i *image) json(t testing.TB, mediaType string, v any) Descriptor {
	t.Helper()
	data, err := json.Marshal(v)
	check.NoError(t, "make JSON", err)
	return i.add(mediaType, data)
}

// A fake is a registry of one repository, "app", that does what a test says.
type fake struct {
	*httptest.Server
	image *image
	tags  map[string]digest.Digest
	// fault may answer a request in the registry's place.
	fault func(w http.ResponseWriter, r *http.Request) bool

	mu  sync.Mutex
	log []string // "GET blobs/sha256:…", in the order in which they came
}

func newFake(t testing.TB, img *image) *fake {
	f := &fake{image: img, tags: map[string]digest.Digest{"1": img.manifest.Digest}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections() // where a test failed, somebody may still hold one
		f.Close()
	})
	return f
}

func (f *fake) ref(t testing.TB, object string) Reference {
	t.Helper()
	ref, err := Parse(strings.TrimPrefix(f.URL, "http://") + "/app" + object)
	check.NoError(t, "Parse", err)
	return ref
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := strings.TrimPrefix(r.URL.Path, "/v2/app/")
	if r.URL.Path != "/v2/" {
		f.mu.Lock()
		f.log = append(f.log, r.Method+" "+what)
		f.mu.Unlock()
	}
	if f.fault != nil && f.fault(w, r) {
		return
	}
	kind, object, _ := strings.Cut(what, "/")
	d := digest.Digest(object)
	if tagged, ok := f.tags[object]; ok && kind == "manifests" {
		d = tagged
	}
	data, ok := f.image.blobs[d]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead || (kind == "manifests") != (f.image.types[d] != "") {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"UNKNOWN","message":"there is no such thing"}]}`)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if kind == "manifests" {
		w.Header().Set("Content-Type", f.image.types[d])
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// asked counts the requests that begin so.
func (f *fake) asked(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.log {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// newClient is a client for which no time passes; what it would have waited is kept.
func newClient(t testing.TB, o Options) (c *Client, waited *[]time.Duration) {
	t.Helper()
	if o.Credentials == nil {
		o.Credentials = func(string) (Credential, error) { return Credential{}, nil }
	}
	c, err := New(o)
	check.NoError(t, "New", err)
	t.Cleanup(c.Close)
	waited, mu := &[]time.Duration{}, sync.Mutex{}
	c.wait = func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		*waited = append(*waited, d)
		return ctx.Err()
	}
	return c, waited
}

// attributes of users: a layer's marks, and with a single id its owners.
var attributes = sandbox.Feature{Name: "attributes of users on tmpfs", Fix: "Linux 6.6 or newer, or a /var/tmp on ext4, xfs or btrfs", Has: func() error {
	dir, err := os.MkdirTemp("", "attributes-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return unix.Setxattr(dir, "user.coracle", []byte("y"), 0)
}}

// newStore is an empty store in the sandbox.
func newStore(t testing.TB) *images.Store {
	t.Helper()
	sandbox.Need(t, attributes)
	owners := images.Kernel
	if sandbox.CurrentMode() == sandbox.Single {
		owners = images.Single
	}
	s, err := images.Open(filepath.Join(t.TempDir(), "store"), owners)
	check.NoError(t, "open a store", err)
	return s
}

// pull is Pull with a deadline.
func pull(t testing.TB, c *Client, s *images.Store, ref Reference, o PullOptions) (Descriptor, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), check.Deadline-time.Second)
	defer cancel()
	return check.Within(t, "Pull", "its return", func() (Descriptor, error) { return c.Pull(ctx, s, ref, o) })
}

// contents reads the files of an unpacked layer.
func contents(t testing.TB, s *images.Store, chain digest.Digest) files {
	t.Helper()
	dir, err := s.LayerPath(chain)
	check.NoError(t, "the unpacked layer "+string(chain), err)
	entries, err := os.ReadDir(dir)
	check.NoError(t, "list the layer", err)
	f := files{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		check.NoError(t, "read a file of the layer", err)
		f[e.Name()] = string(text)
	}
	return f
}

// left names what a failed pull may not leave: names, layers, blobs.
func left(t testing.TB, s *images.Store) string {
	t.Helper()
	tags, err := s.Tags()
	check.NoError(t, "Tags", err)
	var found []string
	for _, tag := range tags {
		found = append(found, tag.Annotations[v1.AnnotationRefName])
	}
	for _, dir := range []string{"layers", "blobs/sha256"} {
		entries, err := os.ReadDir(s.Path(dir))
		check.NoError(t, "list "+dir, err)
		for _, e := range entries {
			if e.Name() != "empty" && filepath.Ext(e.Name()) != ".lock" {
				found = append(found, dir+"/"+e.Name())
			}
		}
	}
	return strings.Join(found, " ")
}

func hostOf(t testing.TB, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	check.NoError(t, "parse "+at, err)
	return u.Host
}

// discard is for servers whose handlers panic to break a connection.
var discard = log.New(io.Discard, "", 0)
