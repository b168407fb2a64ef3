package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"coracle/03-images"
)

// PushOptions are the zero value for most.
type PushOptions struct {
	Platform *v1.Platform // of an index, this image alone; nil: all of it
	Parallel int          // blobs on their way at once; 0: three
	Progress images.Progress

	from map[digest.Digest]string // where on the same registry a blob may be already
}

// Push sends what a name in the store stands for, and gives it the name `to` in its
// registry. It returns what the registry has now.
//
// An index whose other platforms were never pulled cannot be sent whole; that is an
// error which says so.
func (c *Client) Push(ctx context.Context, s *images.Store, name string, to Reference, o PushOptions) (Descriptor, error) {
	fail := func(err error) (Descriptor, error) { return Descriptor{}, fmt.Errorf("push %s: %w", to, err) }
	unlock, err := s.Share(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	d, err := s.Tagged(name)
	if err == nil && o.Platform != nil {
		var img *images.Image
		if img, err = s.Image(name, *o.Platform); err == nil {
			d = img.Manifest
		}
	}
	if err != nil {
		return fail(err)
	}
	o.from = sources(s, to)
	err = c.pushManifest(ctx, s, d, to, o)
	if errors.Is(err, images.ErrNotFound) && o.Platform == nil && images.IsIndex(d.MediaType) {
		err = fmt.Errorf("%w: not every platform of it was pulled; push one with --platform", err)
	}
	if err != nil {
		return fail(err)
	}
	return d, nil
}

// pushManifest sends a manifest or an index with all that it names, and itself last:
// a registry refuses one that names what is not there. Manifests of an index go by
// their digest, blobs several at once (o.Parallel), one that is named twice once.
//
// The first error ends it; what has not begun by then does not.
func (c *Client) pushManifest(ctx context.Context, s *images.Store, d Descriptor, to Reference, o PushOptions) error {
	data, err := s.Blobs().ReadAll(d, images.MaxManifest)
	if err != nil {
		return err
	}
	manifests, blobs, err := named(data)
	if err != nil {
		return err
	}
	for _, m := range manifests {
		if err := c.pushManifest(ctx, s, m, to.At(m.Digest), o); err != nil {
			return err
		}
	}
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(o.Parallel))
	for i, b := range blobs {
		if !slices.ContainsFunc(blobs[:i], func(d Descriptor) bool { return d.Digest == b.Digest }) {
			g.Go(func() error { return c.pushBlob(groupCtx, s, b, to, o) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.putManifest(ctx, data, to)
}

// pushBlob is PushBlob (3.7) for a blob of the store, begun again where the connection
// broke: what has arrived of an upload is nothing that can be relied on.
func (c *Client) pushBlob(ctx context.Context, s *images.Store, d Descriptor, to Reference, o PushOptions) error {
	content := func() (io.ReadCloser, error) {
		r, err := s.Blobs().Open(d)
		if err != nil || o.Progress == nil {
			return r, err
		}
		return &counted{ReadCloser: r, event: images.Event{Digest: d.Digest, Stage: images.Upload, Total: d.Size}, to: o.Progress}, nil
	}
	if !s.Blobs().Has(d.Digest) {
		return fmt.Errorf("blob %s: %w", d.Digest, images.ErrNotFound)
	}
	for try := 1; ; try++ {
		err := c.PushBlob(ctx, to, d, o.from[d.Digest], content)
		var answered *Error
		if err == nil && o.Progress != nil {
			o.Progress(images.Event{Digest: d.Digest, Stage: images.Ready, Done: d.Size, Total: d.Size})
		}
		if err == nil || try == 3 || errors.As(err, &answered) && answered.Status < 500 || !again(err) {
			return err
		}
		if err := c.wait(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// ask makes a call that has no body, of whose answer only status and header count.
func (c *Client) ask(ctx context.Context, to Reference, method, url string, scopes []string, want ...int) (*http.Response, error) {
	resp, err := c.do(ctx, &call{ref: to, method: method, url: url, scopes: scopes, want: want})
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// upload sends a blob to where the registry said (PUT), once: nobody may send to the
// same place again.
func (c *Client) upload(ctx context.Context, to Reference, place string, scopes []string, d Descriptor, content func() (io.ReadCloser, error)) error {
	resp, err := c.do(ctx, &call{ref: to, method: http.MethodPut, url: place, scopes: scopes, want: []int{http.StatusCreated},
		header: http.Header{"Content-Type": {"application/octet-stream"}}, body: content, size: d.Size, once: true})
	if err == nil {
		resp.Body.Close()
	}
	return err
}

// putManifest sends a manifest's bytes, as what they say they are, under the tag or the digest of `to`.
func (c *Client) putManifest(ctx context.Context, data []byte, to Reference) error {
	resp, err := c.do(ctx, &call{ref: to, method: http.MethodPut, url: "manifests/" + to.object(),
		scopes: []string{"repository:" + to.Repository + ":pull,push"}, header: http.Header{"Content-Type": {guessType(data)}},
		body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, size: int64(len(data)),
		want: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted}})
	if err == nil {
		resp.Body.Close()
	}
	return err
}

// named returns what a manifest or an index refers to, of whatever kind it is.
func named(data []byte) (manifests, blobs []Descriptor, err error) {
	var m struct {
		Manifests, Layers []Descriptor
		Config            *Descriptor
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, nil, fmt.Errorf("no JSON of a manifest: %w", err)
	}
	blobs = m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	return m.Manifests, blobs, nil
}

// location reads where an upload goes to: perhaps relative, perhaps with a query.
func (c *Client) location(r *http.Response) (*url.URL, error) {
	u, err := r.Location()
	if err == nil && u.Scheme != "https" && (u.Scheme != "http" || r.Request.URL.Scheme == "https") {
		err = errors.New("neither https nor what the registry is reached by")
	}
	if err != nil {
		return nil, fmt.Errorf("where to upload to, %q: %w", clean(r.Header.Get("Location")), err)
	}
	return u, nil
}

// sources says of the blobs of other images from the same registry in which
// repository they are.
func sources(s *images.Store, to Reference) map[digest.Digest]string {
	from := map[digest.Digest]string{}
	tags, _ := s.Tags()
	for _, t := range tags {
		ref, err := Parse(t.Annotations[v1.AnnotationRefName])
		if err != nil || ref.Registry != to.Registry || ref.Repository == to.Repository {
			continue
		}
		for todo := []Descriptor{t}; len(todo) > 0; {
			data, err := s.Blobs().ReadAll(todo[0], images.MaxManifest)
			todo = todo[1:]
			if err != nil {
				continue // a platform that is not here
			}
			manifests, blobs, _ := named(data)
			todo = append(todo, manifests...)
			for _, b := range blobs {
				from[b.Digest] = ref.Repository
			}
		}
	}
	return from
}

// A counted body tells how much of it was read.
type counted struct {
	io.ReadCloser
	event images.Event
	to    images.Progress
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.event.Done += int64(n)
	c.to(c.event)
	return n, err
}
