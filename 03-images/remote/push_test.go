package remote

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestPush_WhatItNamesFirst(t *testing.T) {
	exercise.NeedAll(t)
	noLeaks(t)
	same := files{"a": "1"}
	img := newImage(t, images.HostPlatform(), same, files{"b": "2"}, same)
	second := newImage(t, v1.Platform{OS: "linux", Architecture: "s390x"}, files{"c": "3"})
	maps.Copy(img.blobs, second.blobs)
	list := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []Descriptor{img.manifest, second.manifest}}
	list.SchemaVersion = 2
	index := img.json(t, v1.MediaTypeImageIndex, list)
	s := newStore(t)
	for _, data := range img.blobs {
		_, err := s.Blobs().Put("", data)
		check.NoError(t, "Put", err)
	}
	check.NoError(t, "Tag", s.Tag(t.Context(), "app:many", index))

	has := map[string]bool{}
	refuse := map[string]int{} // by digest: how many uploads fail
	u := newUploads(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		d := string(digest.FromBytes(body))
		switch last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; {
		case r.Method == http.MethodHead && !has[last]:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodHead:
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "/v2/app/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
		case strings.Contains(r.URL.Path, "/uploads/") && refuse[d] > 0:
			refuse[d]--
			panic(http.ErrAbortHandler)
		case strings.Contains(r.URL.Path, "/uploads/"):
			has[r.URL.Query().Get("digest")] = true
			w.WriteHeader(http.StatusCreated)
		default:
			manifests, blobs, _ := named(body)
			for _, need := range append(manifests, blobs...) {
				if !has[string(need.Digest)] {
					w.WriteHeader(http.StatusBadRequest)
					fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"what it names is not here"}]}`)
					return
				}
			}
			has[d], has[last] = true, true
			w.WriteHeader(http.StatusCreated)
		}
	})
	c, _ := newClient(t, Options{})
	to := Reference{Registry: strings.TrimPrefix(u.URL, "http://"), Repository: "app", Tag: "many"}
	refuse[string(img.spec.Layers[1].Digest)] = 2
	_, err := check.Within(t, "Push", "its return", func() (Descriptor, error) { return c.Push(t.Context(), s, "app:many", to, PushOptions{}) })
	check.NoError(t, "Push of an index of two images", err, check.Often(err != nil && strings.Contains(err.Error(), "MANIFEST_BLOB_UNKNOWN"), "a manifest goes before what it names is there"))
	for d := range img.blobs {
		check.True(t, "the registry afterwards", has[string(d)], "without "+string(d), "all of the image")
	}
	check.True(t, "the registry afterwards", has["many"], "without the tag", "the tag, too")
	sent := slices.DeleteFunc(slices.Clone(u.log), func(l string) bool {
		return !strings.HasPrefix(l, "PUT") || !strings.Contains(l, img.spec.Layers[0].Digest.Encoded())
	})
	check.Equal(t, "how often a layer was sent that is there twice", 1, len(sent), check.Often(len(sent) > 1, "an image that has a layer twice needs its blob once"))
	check.True(t, "the last request", strings.HasPrefix(u.log[len(u.log)-1], "PUT manifests/many"), u.log[len(u.log)-1], "PUT manifests/many")

	// What is not here cannot be sent, and the registry is not left with half of it.
	check.NoError(t, "Tag", s.Tag(t.Context(), "app:half", img.json(t, v1.MediaTypeImageIndex, list)))
	gone := Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("not pulled"), Size: 5}
	list.Manifests = append(list.Manifests, gone)
	data := img.json(t, v1.MediaTypeImageIndex, list)
	half, err := s.Blobs().Put(v1.MediaTypeImageIndex, img.blobs[data.Digest])
	check.NoError(t, "Put", err)
	check.NoError(t, "Tag", s.Tag(t.Context(), "app:half", half))
	to.Tag = "half"
	_, err = c.Push(t.Context(), s, "app:half", to, PushOptions{})
	check.ErrorIs(t, "Push of an index without one of its images", err, images.ErrNotFound)
	check.ErrorHas(t, "Push of an index without one of its images", err, []string{"--platform"})
	check.True(t, "the registry afterwards", !has["half"], "with a tag", "without the tag")
}
