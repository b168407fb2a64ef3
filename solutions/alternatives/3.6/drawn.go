// Alternative: who unpacks draws the bytes through the blob; the last read commits it, and there is no pipe.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"

	"coracle/03-images"
)

// Resolve asks the registry what a reference stands for.
func (c *Client) Resolve(ctx context.Context, ref Reference) (Descriptor, []byte, error) {
	mediaType, data, err := c.manifest(ctx, ref)
	if err != nil {
		return Descriptor{}, nil, err
	}
	d := Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if ref.Digest != "" && d.Digest != ref.Digest {
		return Descriptor{}, nil, fmt.Errorf("manifest %s of %s: %s came: %w", ref.Digest, ref.Name(), d.Digest, images.ErrMismatch)
	}
	return d, data, nil
}

// Pull brings an image into the store, unpacked, and gives it its full name.
func (c *Client) Pull(ctx context.Context, s *images.Store, ref Reference, o PullOptions) (target Descriptor, err error) {
	defer func() {
		if err != nil {
			target, err = Descriptor{}, fmt.Errorf("pull %s: %w", ref, err)
		}
	}()
	unlock, err := s.Share(ctx)
	if err != nil {
		return target, err
	}
	defer unlock()
	target, data, err := c.Resolve(ctx, ref)
	if err != nil {
		return target, err
	}
	p, err := c.parts(ctx, ref, target, data, o.platform())
	if err == nil {
		err = c.layers(ctx, s, ref, p, o)
	}
	if err == nil {
		err = p.keep(s)
	}
	if err == nil {
		err = s.Tag(ctx, ref.String(), target)
	}
	if err == nil {
		err = s.Sync()
	}
	return target, err
}

func (c *Client) layers(ctx context.Context, s *images.Store, ref Reference, p *parts, o PullOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	chains := images.ChainIDs(p.diffIDs)
	st := newStack(len(p.layers), parallel(o.Parallel))
	var all sync.WaitGroup
	for i := range p.layers {
		free, err := st.slot(ctx)
		if err != nil { // ctx's cause, in the end
			break
		}
		all.Go(func() {
			defer free()
			if err := c.layer(ctx, s, ref, p, i, chains, func() error { free(); return st.parent(ctx, i) }, o); err != nil {
				cancel(err)
				return
			}
			st.done(i)
			o.report(p.layers[i], images.Ready, p.layers[i].Size)
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (c *Client) layer(ctx context.Context, s *images.Store, ref Reference, p *parts, i int, chains []digest.Digest, below func() error, o PullOptions) error {
	d, parent := p.layers[i], digest.Digest("")
	if i > 0 {
		parent = chains[i-1]
	}
	content, err := c.content(ctx, s, ref, d, o)
	if err != nil {
		return err
	}
	defer content.Close()
	err = s.AddLayer(ctx, chains[i], parent, func(dir string) (images.Applied, error) {
		applied, err := s.ApplyBlob(ctx, d, p.diffIDs[i], content, dir)
		if err == nil {
			err = below()
		}
		return applied, err
	})
	// Where the layer was there nobody has read a byte; where it could not be unpacked,
	// the whole blob tells who is at fault.
	if _, failed := io.Copy(io.Discard, content); failed != nil {
		return failed
	}
	return err
}

func (c *Client) content(ctx context.Context, s *images.Store, ref Reference, d Descriptor, o PullOptions) (io.ReadCloser, error) {
	w, err := s.Blobs().Create(ctx, d)
	switch {
	case errors.Is(err, fs.ErrExist):
		return s.Blobs().Open(d)
	case err != nil:
		return nil, err
	}
	body, err := c.blob(ctx, ref, d, w.Offset())
	if err != nil {
		w.Close()
		return nil, err
	}
	coming := &arriving{from: o.count(body, d, w.Offset()), body: body, w: w}
	if w.Offset() == 0 {
		return coming, nil
	}
	_, err = io.Copy(io.Discard, coming)
	if coming.Close(); err != nil {
		return nil, err
	}
	return s.Blobs().Open(d)
}

// arriving is a blob that is written as it is read.
type arriving struct {
	from io.Reader
	body io.Closer
	w    *images.Writer
	end  error
}

func (a *arriving) Read(p []byte) (n int, err error) {
	if a.end != nil {
		return 0, a.end
	}
	n, a.end = a.from.Read(p)
	if _, err := a.w.Write(p[:n]); err != nil {
		a.end = err
	} else if a.end == io.EOF {
		if _, err := a.w.Commit(); err != nil {
			a.end = err
		}
	}
	return n, a.end
}

func (a *arriving) Close() error {
	a.w.Close()
	return a.body.Close()
}
