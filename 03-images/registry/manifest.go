package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"coracle/03-images"
)

// A manifest of any kind: an image, an index, an artifact. What is in it is its
// readers' business; that all of it is here is ours.
type manifest struct {
	MediaType         string
	Config, Subject   *images.Descriptor
	Layers, Manifests []images.Descriptor
}

func parse(data []byte) (m manifest, err error) { return m, json.Unmarshal(data, &m) }

// needs lists the blobs that must be there. A subject need not (distribution-spec,
// "Pushing Manifests with Subject").
func (m manifest) needs() []images.Descriptor {
	all := append(append([]images.Descriptor{}, m.Layers...), m.Manifests...)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	return all
}

// repository returns a repository's name in the store.
func (r *Registry) repository(repo string) (reference.Named, error) {
	named, err := reference.WithName(r.name + "/" + repo)
	if err != nil {
		return nil, &apiError{http.StatusBadRequest, "NAME_INVALID", "no name of a repository"}
	}
	return named, nil
}

// names returns the names in the store of a manifest: by digest, and by tag if it has one.
func (r *Registry) names(repo, object string, d digest.Digest) ([]string, error) {
	named, err := r.repository(repo)
	if err != nil {
		return nil, err
	}
	names := []string{named.Name() + "@" + string(d)}
	if object == string(d) {
		return names, nil
	}
	tagged, err := reference.WithTag(named, object)
	if err != nil {
		return nil, &apiError{http.StatusBadRequest, "MANIFEST_INVALID", "no tag, and not the digest of what came"}
	}
	return append(names, tagged.String()), nil
}

func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, to route) error {
	data, err := io.ReadAll(io.LimitReader(req.Body, images.MaxManifest+1))
	if err != nil {
		return &apiError{http.StatusBadRequest, "MANIFEST_INVALID", "the connection broke"}
	}
	if len(data) > images.MaxManifest {
		return &apiError{http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("more than %d bytes", images.MaxManifest)}
	}
	mediaType := req.Header.Get("Content-Type")
	m, err := parse(data)
	if err != nil || mediaType == "" || m.MediaType != "" && m.MediaType != mediaType || m.Manifests != nil && m.Layers != nil {
		return &apiError{http.StatusBadRequest, "MANIFEST_INVALID", "no manifest of the type in Content-Type"}
	}
	d := digest.FromBytes(data)
	names, err := r.names(to.repo, to.rest, d)
	if err != nil {
		return err
	}
	release, err := r.lease.hold(req.Context())
	if err != nil {
		return err
	}
	defer release()
	for _, b := range m.needs() {
		if fi, err := os.Stat(r.store.Blobs().Path(b.Digest)); err != nil || fi.Size() != b.Size {
			return &apiError{http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", fmt.Sprintf("%.80s is not here, or not of %d bytes: push it first", b.Digest, b.Size)}
		}
	}
	desc, err := r.store.Blobs().Put(mediaType, data)
	for _, name := range names {
		if err == nil {
			err = r.store.Tag(req.Context(), name, desc)
		}
	}
	if err != nil {
		return err
	}
	for _, b := range m.needs() {
		r.lease.named(string(b.Digest))
	}
	if m.Subject != nil {
		w.Header().Set("OCI-Subject", string(m.Subject.Digest))
	}
	w.Header().Set("Location", "/v2/"+to.repo+"/manifests/"+string(d))
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusCreated)
	return nil
}

// deleteManifest takes a tag away, or a digest with all tags that stand for it.
func (r *Registry) deleteManifest(w http.ResponseWriter, req *http.Request, to route) error {
	tags, err := r.store.Tags()
	if err != nil {
		return err
	}
	found := false
	for _, t := range tags {
		name := t.Annotations["org.opencontainers.image.ref.name"]
		if repo, object := r.split(name); repo == to.repo && (object == to.rest || string(t.Digest) == to.rest) {
			if err := r.store.Untag(req.Context(), name); err != nil {
				return err
			}
			found = true
		}
	}
	if !found {
		return &apiError{http.StatusNotFound, "MANIFEST_UNKNOWN", "no such manifest"}
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
