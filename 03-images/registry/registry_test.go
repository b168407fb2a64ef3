package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/03-images/remote"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func newStore(t testing.TB) *images.Store {
	t.Helper()
	owners := images.Kernel
	if sandbox.CurrentMode() == sandbox.Single {
		owners = images.Single
	}
	s, err := images.Open(filepath.Join(t.TempDir(), "store"), owners)
	check.NoError(t, "open a store", err)
	return s
}

// A served registry, and how it is asked.
type served struct {
	*Registry
	*httptest.Server
	t testing.TB
}

func serve(t testing.TB, s *images.Store, o Options) *served {
	r := New(s, o)
	srv := &served{r, httptest.NewServer(r), t}
	t.Cleanup(srv.stop)
	return srv
}

func (s *served) stop() {
	s.Server.Close()
	s.Registry.Close()
}

func (s *served) ref(name string) remote.Reference {
	ref, err := remote.Parse(strings.TrimPrefix(s.URL, "http://") + "/" + name)
	check.NoError(s.t, "Parse", err)
	return ref
}

// ask makes a request; header is "Key: value" pairs.
func (s *served) ask(method, path string, body []byte, header ...string) (*http.Response, string) {
	s.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.URL + path
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader(body))
	check.NoError(s.t, "make a request", err)
	for _, h := range header {
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	check.NoError(s.t, method+" "+path, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check.NoError(s.t, method+" "+path, err)
	return resp, string(text)
}

// want makes a request that must be answered so.
func (s *served) want(status int, method, path string, body []byte, header ...string) (*http.Response, string) {
	s.t.Helper()
	resp, text := s.ask(method, path, body, header...)
	check.True(s.t, method+" "+path, resp.StatusCode == status, fmt.Sprint(resp.StatusCode, " ", text), fmt.Sprint(status))
	return resp, text
}

func client(t testing.TB) *remote.Client {
	c, err := remote.New(remote.Options{Credentials: func(string) (remote.Credential, error) { return remote.Credential{}, nil }})
	check.NoError(t, "remote.New", err)
	t.Cleanup(c.Close)
	return c
}

// newImage puts an image of one file into a store. Nothing but text tells two apart.
func newImage(t testing.TB, s *images.Store, name, text string) *images.Image {
	t.Helper()
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	check.NoError(t, "make a tar", w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
	w.Write([]byte(text))
	w.Close()
	z := gzip.NewWriter(&packed)
	z.Write(plain.Bytes())
	z.Close()
	put := func(mediaType string, v any) images.Descriptor {
		data, ok := v.([]byte)
		if !ok {
			data, _ = json.Marshal(v)
		}
		d, err := s.Blobs().Put(mediaType, data)
		check.NoError(t, "Put", err)
		return d
	}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	m.Layers = []images.Descriptor{put(v1.MediaTypeImageLayerGzip, packed.Bytes())}
	m.Config = put(v1.MediaTypeImageConfig, v1.Image{Platform: images.HostPlatform(), RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(plain.Bytes())}}})
	check.NoError(t, "Tag", s.Tag(t.Context(), name, put(v1.MediaTypeImageManifest, m)))
	img, err := s.Image(name, images.HostPlatform())
	check.NoError(t, "Image", err)
	return img
}

func push(t testing.TB, s *images.Store, name string, to remote.Reference) {
	t.Helper()
	_, err := client(t).Push(t.Context(), s, name, to, remote.PushOptions{})
	check.NoError(t, "push "+name, err)
}

func text(t testing.TB, from remote.Reference) string {
	t.Helper()
	s := newStore(t)
	_, err := client(t).Pull(t.Context(), s, from, remote.PullOptions{})
	check.NoError(t, "pull "+from.String(), err)
	img, err := s.Image(from.String(), images.HostPlatform())
	check.NoError(t, "read "+from.String(), err)
	dir, err := s.LayerPath(img.Chain())
	check.NoError(t, "its layer", err)
	data, err := os.ReadFile(filepath.Join(dir, "file"))
	check.NoError(t, "its file", err)
	return string(data)
}

func TestRegistry_SurvivesARestart(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	local, kept := newStore(t), newStore(t)
	one := newImage(t, local, "one", "1")
	newImage(t, local, "two", "2")
	r := serve(t, kept, Options{})
	push(t, local, "one", r.ref("team/app:1"))
	push(t, local, "one", r.ref("team/app:latest"))
	push(t, local, "two", r.ref("team/app:latest"))
	push(t, local, "two", r.ref("other:1"))
	for range 2 {
		check.Equal(t, "the image of tag 1", "1", text(t, r.ref("team/app:1")))
		check.Equal(t, "the image of the tag that moved", "2", text(t, r.ref("team/app:latest")))
		check.Equal(t, "the one that it stood for", "1", text(t, r.ref("team/app@"+string(one.Manifest.Digest))))
		_, tags := r.want(200, "GET", "/v2/team/app/tags/list", nil)
		check.Equal(t, "the tags", `{"name":"team/app","tags":["1","latest"]}`, tags)
		_, repos := r.want(200, "GET", "/v2/_catalog", nil)
		check.True(t, "the repositories", strings.Contains(repos, `"team/app"`) && strings.Contains(repos, `"other"`), repos, "both")
		r.want(404, "GET", "/v2/other/manifests/"+string(one.Manifest.Digest), nil)
		r.stop()
		r = serve(t, kept, Options{})
	}
	// The names are the store's: what takes one away there takes it away here.
	check.NoError(t, "Untag", kept.Untag(t.Context(), DefaultName+"/team/app:1"))
	r.want(404, "GET", "/v2/team/app/manifests/1", nil)
	r.want(202, "DELETE", "/v2/team/app/manifests/"+string(one.Manifest.Digest), nil)
	r.want(404, "GET", "/v2/team/app/manifests/"+string(one.Manifest.Digest), nil)
	r.want(404, "DELETE", "/v2/team/app/manifests/none", nil)
	check.Equal(t, "the rest", "2", text(t, r.ref("team/app:latest")))
}

func TestRegistry_RefusesWhatIsNotWhole(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	r := serve(t, newStore(t), Options{})
	manifest := func(size int64, of string) []byte {
		m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
		m.Config = images.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromString(of), Size: size}
		data, _ := json.Marshal(m)
		return data
	}
	const is = "Content-Type: " + v1.MediaTypeImageManifest
	r.want(201, "POST", "/v2/app/blobs/uploads/?digest="+string(digest.FromString("here")), []byte("here"))
	r.want(201, "PUT", "/v2/app/manifests/1", manifest(4, "here"), is)
	for did, c := range map[string]struct {
		path string
		body []byte
		head string
		code string
	}{
		"names what is not here":       {"/v2/app/manifests/2", manifest(4, "gone"), is, "MANIFEST_BLOB_UNKNOWN"},
		"names another size":           {"/v2/app/manifests/2", manifest(5, "here"), is, "MANIFEST_BLOB_UNKNOWN"},
		"is no JSON":                   {"/v2/app/manifests/2", []byte("x"), is, "MANIFEST_INVALID"},
		"has no type":                  {"/v2/app/manifests/2", manifest(4, "here"), "X: y", "MANIFEST_INVALID"},
		"is of two types":              {"/v2/app/manifests/2", manifest(4, "here"), "Content-Type: " + v1.MediaTypeImageIndex, "MANIFEST_INVALID"},
		"is not of its digest":         {"/v2/app/manifests/" + string(digest.FromString("x")), manifest(4, "here"), is, "MANIFEST_INVALID"},
		"has a tag that is none":       {"/v2/app/manifests/a%20b", manifest(4, "here"), is, "MANIFEST_INVALID"},
		"has a repository that climbs": {"/v2/a/%2e%2e/%2e%2e/app/manifests/2", manifest(4, "here"), is, "NAME_INVALID"},
		"is of 10 MB":                  {"/v2/app/manifests/2", bytes.Repeat([]byte(" "), 10<<20), is, "SIZE_INVALID"},
	} {
		resp, text := r.ask("PUT", c.path, c.body, c.head)
		check.True(t, "a manifest that "+did, resp.StatusCode/100 == 4 && strings.Contains(text, c.code), fmt.Sprint(resp.StatusCode, " ", text), c.code)
	}
	r.want(400, "POST", "/v2/A%20b/blobs/uploads/", nil)
	_, tags := r.want(200, "GET", "/v2/app/tags/list", nil)
	check.Equal(t, "the tags afterwards", `{"name":"app","tags":["1"]}`, tags)
	// A blob that is not what its client says stays nobody's.
	resp, text := r.ask("POST", "/v2/app/blobs/uploads/?digest="+string(digest.FromString("a")), []byte("b"))
	check.True(t, "a blob of another digest", resp.StatusCode == 400 && strings.Contains(text, "DIGEST_INVALID"), text, "DIGEST_INVALID")
	r.want(404, "HEAD", "/v2/app/blobs/"+string(digest.FromString("a")), nil)
	r.want(404, "GET", "/v2/app/blobs/sha256:..%2f..%2foci-layout", nil)
	r.want(405, "DELETE", "/v2/app/blobs/"+string(digest.FromString("here")), nil)
}

func TestRegistry_UploadsInPieces(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	s := newStore(t)
	r := serve(t, s, Options{})
	d := digest.FromString("0123456789")
	resp, _ := r.want(202, "POST", "/v2/app/blobs/uploads/", nil)
	at := resp.Header.Get("Location")
	resp, _ = r.want(202, "PATCH", at, []byte("0123"), "Content-Range: 0-3")
	check.Equal(t, "Range after four bytes", "0-3", resp.Header.Get("Range"))
	r.want(416, "PATCH", at, []byte("0123"), "Content-Range: 0-3")
	resp, _ = r.want(204, "GET", at, nil)
	check.Equal(t, "Range when asked", "0-3", resp.Header.Get("Range"))
	r.want(202, "PATCH", at, []byte("456"))
	r.want(404, "HEAD", "/v2/app/blobs/"+string(d), nil)
	r.want(201, "PUT", at+"?digest="+string(d), []byte("789"))
	r.want(404, "PUT", at+"?digest="+string(d), nil)
	_, text := r.want(200, "GET", "/v2/app/blobs/"+string(d), nil)
	check.Equal(t, "the blob", "0123456789", text)
	for at, want := range map[string]string{"bytes=3-5": "345", "bytes=7-": "789"} {
		_, text = r.want(206, "GET", "/v2/app/blobs/"+string(d), nil, "Range: "+at)
		check.Equal(t, "the blob, "+at, want, text)
	}
	r.want(201, "POST", "/v2/lib/blobs/uploads/?from=app&mount="+string(d), nil)
	r.want(202, "POST", "/v2/lib/blobs/uploads/?from=app&mount="+string(digest.FromString("none")), nil)
	resp, _ = r.want(202, "POST", "/v2/app/blobs/uploads/", nil)
	r.want(204, "DELETE", resp.Header.Get("Location"), nil)
	r.want(404, "GET", resp.Header.Get("Location"), nil)
	r.Registry.Close()
	entries, err := os.ReadDir(s.Path("ingest"))
	check.True(t, "ingest/ afterwards", err == nil && len(entries) == 0, fmt.Sprint(entries), "empty")
}

func TestRegistry_BesideCollect(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	local, kept := newStore(t), newStore(t)
	img := newImage(t, local, "one", "1")
	r := serve(t, kept, Options{Keep: time.Hour})
	collect := func(within time.Duration) (images.Collected, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return kept.Collect(ctx, images.CollectOptions{})
	}
	there := func(d digest.Digest) bool {
		_, err := os.Stat(kept.Blobs().Path(d))
		return err == nil
	}
	layer, err := local.Blobs().ReadAll(img.Layers[0], 1<<20)
	check.NoError(t, "read the layer", err)
	r.want(201, "POST", "/v2/app/blobs/uploads/?digest="+string(img.Layers[0].Digest), layer)
	_, err = collect(50 * time.Millisecond)
	check.ErrorIs(t, "Collect between a blob and its manifest", err, context.DeadlineExceeded)
	push(t, local, "one", r.ref("app:1"))
	done, err := collect(check.Deadline)
	check.NoError(t, "Collect after the manifest", err)
	check.Equal(t, "blobs that are collected", 0, done.Blobs)
	check.Equal(t, "the image", "1", text(t, r.ref("app:1")))

	// The tag goes, and with it the image; a client that found the layer with HEAD
	// and does not send it must not lose it.
	r.want(202, "DELETE", "/v2/app/manifests/"+string(img.Manifest.Digest), nil)
	r.want(200, "HEAD", "/v2/app/blobs/"+string(img.Layers[0].Digest), nil)
	_, err = collect(50 * time.Millisecond)
	check.ErrorIs(t, "Collect after HEAD of a blob", err, context.DeadlineExceeded)
	r.stop()
	_, err = collect(check.Deadline)
	check.NoError(t, "Collect after the registry's end", err)
	check.True(t, "the layer", !there(img.Layers[0].Digest), "there", "collected")

	// Who begins and never comes back is waited for, but not for ever.
	r = serve(t, kept, Options{Keep: 20 * time.Millisecond})
	resp, _ := r.want(202, "POST", "/v2/app/blobs/uploads/", nil)
	r.want(201, "POST", "/v2/app/blobs/uploads/?digest="+string(img.Layers[0].Digest), layer)
	_, err = collect(check.Deadline)
	check.NoError(t, "Collect beside an upload that nobody goes on with", err)
	check.True(t, "the layer", !there(img.Layers[0].Digest), "there", "collected")
	r.want(404, "PATCH", resp.Header.Get("Location"), []byte("more"))
	_, err = os.Stat(kept.Blobs().Path(img.Layers[0].Digest))
	check.ErrorIs(t, "the layer's file", err, fs.ErrNotExist)
}

func TestRegistry_ManyAtOnce(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	kept := newStore(t)
	r := serve(t, kept, Options{})
	var all sync.WaitGroup
	failed := make(chan error, 16)
	locals := []*images.Store{}
	for i := range 8 {
		s := newStore(t)
		newImage(t, s, "app", fmt.Sprint("shared? ", i%2))
		locals = append(locals, s)
	}
	c := client(t)
	for i, s := range locals {
		all.Go(func() {
			_, err := c.Push(t.Context(), s, "app", r.ref(fmt.Sprintf("app%d:1", i/2)), remote.PushOptions{})
			failed <- err
		})
		all.Go(func() {
			_, err := kept.Collect(t.Context(), images.CollectOptions{})
			failed <- err
		})
	}
	all.Wait()
	for range 16 {
		check.NoError(t, "eight pushes and eight times Collect at once", <-failed)
	}
	for i := range 4 {
		got := text(t, r.ref(fmt.Sprintf("app%d:1", i)))
		check.True(t, "an image", strings.HasPrefix(got, "shared? "), got, "one of the two that were pushed")
	}
}

// TestRegistry_Skopeo: a client that is not ours, in the formats that it knows.
func TestRegistry_Skopeo(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, sandbox.Feature{Name: "skopeo", Fix: "apt-get install skopeo", Has: func() error {
		_, err := exec.LookPath("skopeo")
		return err
	}})
	local := newStore(t)
	newImage(t, local, "one", "1")
	r := serve(t, newStore(t), Options{})
	push(t, local, "one", r.ref("app:1"))
	skopeo := func(arg ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "skopeo", append([]string{"--insecure-policy", "--tmpdir", t.TempDir()}, arg...)...)
		var out, diag bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &diag
		err := cmd.Run()
		check.True(t, "skopeo "+strings.Join(arg, " "), err == nil, fmt.Sprint(err, " ", diag.String()), "its success")
		return out.String()
	}
	for tag, format := range map[string]string{"docker": "v2s2", "oci": "oci"} {
		layout := "oci:" + t.TempDir() + ":1"
		skopeo("copy", "--src-tls-verify=false", "docker://"+r.ref("app:1").String(), layout)
		skopeo("copy", "--dest-tls-verify=false", "--format", format, layout, "docker://"+r.ref("copy:"+tag).String())
		check.Equal(t, "what comes back, "+format, "1", text(t, r.ref("copy:"+tag)))
	}
	check.True(t, "the tags", strings.Contains(skopeo("list-tags", "--tls-verify=false", "docker://"+r.ref("copy:docker").Name()), `"oci"`), "others", "docker and oci")
	skopeo("delete", "--tls-verify=false", "docker://"+r.ref("copy:oci").String())
	r.want(404, "GET", "/v2/copy/manifests/oci", nil)
}
