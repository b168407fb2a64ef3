package registry

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/opencontainers/go-digest"

	"coracle/03-images"
)

// An upload is a blob that comes in one request or in several:
//
//	POST uploads/                → 202 Location: uploads/ID
//	PATCH uploads/ID, some bytes → 202 Range: 0-(what we have - 1)
//	GET uploads/ID               → 204 Range: …
//	PUT uploads/ID?digest=, the rest → 201
//
// (distribution-spec, "Pushing blobs".)
type upload struct {
	mu   sync.Mutex
	blob *images.Writer // its digest is known at the end
}

func (r *Registry) serveUpload(w http.ResponseWriter, req *http.Request, repo, id string) error {
	release, err := r.lease.hold(req.Context())
	if err != nil {
		return err
	}
	defer release()
	if req.Method == http.MethodPost && id == "" {
		return r.beginUpload(w, req, repo)
	}
	r.mu.Lock()
	u := r.upload[id]
	r.mu.Unlock()
	if u == nil || !u.mu.TryLock() { // two requests of one upload at once make no sense
		return &apiError{http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload: begin again"}
	}
	defer u.mu.Unlock()
	status := http.StatusNoContent
	switch req.Method {
	case http.MethodGet:
	case http.MethodPatch:
		if err := u.append(req); err != nil {
			return err
		}
		status = http.StatusAccepted
	case http.MethodPut:
		return r.finishUpload(w, req, repo, id, u)
	case http.MethodDelete:
		r.forgetUpload(id, u)
	default:
		return &apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "an upload takes GET, PATCH, PUT and DELETE"}
	}
	if req.Method != http.MethodDelete {
		r.lease.promise(id)
	}
	r.uploadAt(w, repo, id, u.blob.Offset())
	w.WriteHeader(status)
	return nil
}

// beginUpload answers a POST: with a place to send to, or, where the blob is here
// already (mount) or comes with the request (digest), with what is there now.
func (r *Registry) beginUpload(w http.ResponseWriter, req *http.Request, repo string) error {
	if _, err := r.repository(repo); err != nil {
		return err
	}
	// All repositories share the store's blobs, and whoever can pull from one can
	// pull from each: no matter where it is mounted from.
	if d := digest.Digest(req.URL.Query().Get("mount")); d != "" && r.store.Blobs().Has(d) {
		r.lease.promise(string(d))
		return r.created(w, repo, d)
	}
	blob, err := r.store.Blobs().Create(req.Context(), images.Descriptor{})
	if err != nil {
		return err
	}
	u, id := &upload{blob: blob}, rand.Text()
	if req.URL.Query().Get("digest") != "" {
		return r.finishUpload(w, req, repo, id, u)
	}
	r.mu.Lock()
	r.upload[id] = u
	r.mu.Unlock()
	r.lease.promise(id)
	r.uploadAt(w, repo, id, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// append adds a request's body. What came before a connection broke is kept.
func (u *upload) append(req *http.Request) error {
	var first, last int64
	if at := req.Header.Get("Content-Range"); at != "" {
		if n, _ := fmt.Sscanf(at, "%d-%d", &first, &last); n != 2 || first != u.blob.Offset() {
			return &apiError{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("want the bytes from %d on", u.blob.Offset())}
		}
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{u.blob}, req.Body, make([]byte, 256<<10))
	return err
}

func (r *Registry) finishUpload(w http.ResponseWriter, req *http.Request, repo, id string, u *upload) error {
	if err := u.append(req); err != nil {
		return err
	}
	want := digest.Digest(req.URL.Query().Get("digest"))
	defer r.forgetUpload(id, u)
	got, err := u.blob.Commit() // under its own name, whatever was promised: it goes with the next Collect
	if err != nil {
		return err
	}
	if got.Digest != want {
		return &apiError{http.StatusBadRequest, "DIGEST_INVALID", fmt.Sprintf("%s came", got.Digest)}
	}
	r.lease.promise(string(want))
	return r.created(w, repo, want)
}

func (r *Registry) created(w http.ResponseWriter, repo string, d digest.Digest) error {
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+string(d))
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (r *Registry) uploadAt(w http.ResponseWriter, repo, id string, size int64) {
	w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
}

func (r *Registry) forgetUpload(id string, u *upload) {
	u.blob.Close()
	r.mu.Lock()
	delete(r.upload, id)
	r.mu.Unlock()
	r.lease.named(id)
}

// dropUploads ends those that nobody goes on with.
func (r *Registry) dropUploads() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, u := range r.upload {
		u.blob.Close()
		delete(r.upload, id)
	}
}
