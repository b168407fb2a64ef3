package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	gcr "github.com/google/go-containerregistry/pkg/registry"
	gcrv1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
)

// DefaultName is what the names of a registry's images begin with in its store.
const DefaultName = "registry.internal"

// Options are the zero value for most.
type Options struct {
	Name string        // "": DefaultName
	Keep time.Duration // how long a blob waits for its manifest; 0: a minute
}

// A Registry is an http.Handler. Close it after the server that serves it.
type Registry struct {
	store *images.Store
	name  string
	lease *lease

	mu     sync.Mutex
	seen   []byte       // the store's names that reads was made from
	reads  http.Handler // go-containerregistry's
	upload map[string]*upload
}

// New makes a registry of what a store has under Options.Name.
func New(s *images.Store, o Options) *Registry {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Keep <= 0 {
		o.Keep = time.Minute
	}
	r := &Registry{store: s, name: o.Name, upload: map[string]*upload{}}
	r.lease = newLease(s, o.Keep, r.dropUploads)
	return r
}

// Close ends uploads that are half done and gives the store back.
func (r *Registry) Close() { r.lease.end() }

// A route is a path of the API taken apart: /v2/REPO/KIND/REST.
type route struct{ repo, kind, rest string }

func routeOf(path string) route {
	path = strings.TrimPrefix(path, "/v2/")
	for _, kind := range []string{"/blobs/", "/manifests/"} {
		if i := strings.LastIndex(path, kind); i > 0 {
			return route{path[:i], strings.Trim(kind, "/"), path[i+len(kind):]}
		}
	}
	return route{}
}

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	to, err := routeOf(req.URL.Path), error(nil)
	write := req.Method != http.MethodGet && req.Method != http.MethodHead
	id, isUpload := strings.CutPrefix(to.rest+"/", "uploads/")
	switch {
	case to.kind == "blobs" && isUpload:
		err = r.serveUpload(w, req, to.repo, strings.Trim(id, "/"))
	case to.kind == "manifests" && req.Method == http.MethodPut:
		err = r.putManifest(w, req, to)
	case to.kind == "manifests" && req.Method == http.MethodDelete:
		err = r.deleteManifest(w, req, to)
	case write:
		err = &apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry does not do that"}
	case to.kind == "blobs":
		err = r.serveBlob(w, req, digest.Digest(to.rest))
	default:
		var reads http.Handler
		if reads, err = r.current(); err == nil {
			reads.ServeHTTP(w, req)
		}
	}
	if err != nil {
		writeError(w, err)
	}
}

// serveBlob sends a blob. Whoever asks with HEAD may be about to push a manifest
// that names it, without sending it.
func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, d digest.Digest) error {
	fi, err := os.Stat(r.store.Blobs().Path(d))
	if err == nil && req.Method == http.MethodHead {
		release, err := r.lease.hold(req.Context())
		if err != nil {
			return err
		}
		defer release()
		if fi, err = os.Stat(r.store.Blobs().Path(d)); err == nil {
			r.lease.promise(string(d))
		}
	}
	if at := req.Header.Get("Range"); err == nil && strings.HasSuffix(at, "-") {
		req = req.Clone(req.Context()) // the handler wants to be told where the end is
		req.Header.Set("Range", at+fmt.Sprint(fi.Size()-1))
	}
	reads, err := r.current()
	if err == nil {
		reads.ServeHTTP(w, req)
	}
	return err
}

// current returns the handler for reads, made anew if the names are others than
// when it was made.
func (r *Registry) current() (http.Handler, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names, err := os.ReadFile(r.store.Path(v1.ImageIndexFile))
	if err != nil || r.reads != nil && bytes.Equal(names, r.seen) {
		return r.reads, err
	}
	tags, err := r.store.Tags()
	if err != nil {
		return nil, err
	}
	reads := gcr.New(gcr.WithBlobHandler(blobs{r.store.Blobs()}), gcr.WithReferrersSupport(true), gcr.Logger(log.New(io.Discard, "", 0)))
	for _, t := range tags {
		if repo, object := r.split(t.Annotations[v1.AnnotationRefName]); repo != "" {
			r.replay(reads, repo, object, t, map[digest.Digest]bool{})
		}
	}
	r.reads, r.seen = reads, names
	return reads, nil
}

// split takes the name of one of this registry's images apart.
func (r *Registry) split(name string) (repo, object string) {
	rest, ok := strings.CutPrefix(name, r.name+"/")
	if repo, object, ok := strings.Cut(rest, "@"); ok {
		return repo, object
	}
	if i := strings.LastIndex(rest, ":"); ok && i > 0 {
		return rest[:i], rest[i+1:]
	}
	return "", ""
}

// replay tells the handler of a manifest that was pushed some time. It wants to know
// those that an index names before the index. One that is damaged is left out.
func (r *Registry) replay(to http.Handler, repo, object string, d images.Descriptor, told map[digest.Digest]bool) {
	data, err := r.store.Blobs().ReadAll(d, images.MaxManifest)
	if err != nil || told[d.Digest] {
		return
	}
	told[d.Digest] = true
	m, _ := parse(data)
	for _, child := range m.Manifests {
		r.replay(to, repo, string(child.Digest), child, told)
	}
	req, err := http.NewRequest(http.MethodPut, "/v2/"+repo+"/manifests/"+object, bytes.NewReader(data))
	if err == nil {
		req.Header.Set("Content-Type", d.MediaType)
		to.ServeHTTP(nobody{}, req)
	}
}

// nobody reads an answer.
type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(p []byte) (int, error) { return len(p), nil }
func (nobody) WriteHeader(int)             {}

// blobs are a store's, as go-containerregistry wants them. They are sent as they
// are: whoever pulls verifies.
type blobs struct{ *images.Blobs }

func (b blobs) Get(_ context.Context, _ string, h gcrv1.Hash) (io.ReadCloser, error) {
	f, err := os.Open(b.Path(digest.Digest(h.String())))
	if err != nil {
		return nil, gcr.ErrNotFound
	}
	return f, nil
}

func (b blobs) Stat(_ context.Context, _ string, h gcrv1.Hash) (int64, error) {
	fi, err := os.Stat(b.Path(digest.Digest(h.String())))
	if err != nil {
		return 0, gcr.ErrNotFound
	}
	return fi.Size(), nil
}

// An apiError is an answer (distribution-spec, "Error Codes").
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.message }

func writeError(w http.ResponseWriter, err error) {
	e, ok := err.(*apiError)
	if !ok {
		e = &apiError{http.StatusInternalServerError, "UNKNOWN", err.Error()}
	}
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(map[string][]one{"errors": {{e.code, e.message}}})
}
