package ours

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
	"coracle/03-images/registry"
	"coracle/03-images/userns"
	"coracle/04-runtime/driver"
	"coracle/internal/check"
)

func TestImages_PullListRemove(t *testing.T) {
	n := newNode(t)
	from, err := images.Open(filepath.Join(t.TempDir(), "registry"), userns.Owners())
	check.NoError(t, "open a store", err)
	mine := n.Store
	n.Store = from
	n.addImage(registry.DefaultName+"/app:1", v1.ImageConfig{Cmd: []string{"sh"}, User: "1000"})
	n.Store = mine
	r := registry.New(from, registry.Options{})
	server := httptest.NewServer(r)
	defer r.Close()
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	img, err := n.Pull(t.Context(), host+"/app:1", nil)
	check.NoError(t, "Pull", err)
	check.True(t, "the image", img.User == "1000" && img.Size > 0 && len(img.Digests) == 1 && strings.HasPrefix(img.Digests[0], host+"/app@sha256:"), img.User, "its user, size and digest")
	check.Equal(t, "its names", []string{host + "/app:1"}, img.Tags)
	same, err := n.Image(t.Context(), img.ID)
	check.NoError(t, "Image by its ID", err)
	check.Equal(t, "Image by its ID", img, same)
	all, err := n.Images(t.Context())
	check.NoError(t, "Images", err)
	check.Equal(t, "how many there are", 2, len(all))

	s := n.pod(nil)
	id := n.create(s.ID, "", func(c *driver.ContainerConfig) {
		c.Image, c.Args = img.ID, []string{"true"}
		zero := int64(0)
		c.Security.User = &zero
	})
	check.Equal(t, "the container's image", img.ID, n.status(id).ImageID)
	check.ErrorHas(t, "RemoveImage of one in use", n.RemoveImage(t.Context(), img.ID), []string{"uses it"})
	check.NoError(t, "Remove", n.Remove(t.Context(), id))
	before, err := n.ImagesUsed(t.Context())
	check.NoError(t, "ImagesUsed", err)
	check.NoError(t, "RemoveImage", n.RemoveImage(t.Context(), img.ID))
	check.NoError(t, "RemoveImage again", n.RemoveImage(t.Context(), img.ID))
	after, err := n.ImagesUsed(t.Context())
	check.NoError(t, "ImagesUsed", err)
	check.True(t, "what images occupy", after < before, "no less", "less")
	_, err = n.Image(t.Context(), img.ID)
	check.ErrorIs(t, "Image", err, driver.ErrNotFound)

	_, err = n.Pull(t.Context(), host+"/nothing:1", nil)
	check.ErrorIs(t, "Pull of nothing", err, driver.ErrNotFound)
	server.Close()
	_, err = n.Pull(t.Context(), host+"/app:1", nil)
	check.ErrorIs(t, "Pull from nobody", err, driver.ErrUnavailable)
}
