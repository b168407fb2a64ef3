// Mistake: the name is given before everything is there
package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

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
		err = p.keep(s)
	}
	if err == nil {
		err = s.Tag(ctx, ref.String(), target)
	}
	if err == nil {
		err = c.refLayers(ctx, s, ref, p, o)
	}
	if err == nil {
		err = s.Sync()
	}
	return target, err
}

func (c *Client) refLayers(ctx context.Context, s *images.Store, ref Reference, p *parts, o PullOptions) error {
	chains := append([]digest.Digest{""}, images.ChainIDs(p.diffIDs)...) // chains[i] is below layer i
	st := newStack(len(p.layers), parallel(o.Parallel))
	g, ctx := errgroup.WithContext(ctx)
	for i, d := range p.layers {
		free, err := st.slot(ctx)
		g.Go(func() error {
			defer free()
			if err != nil {
				return err
			}
			content, finish, err := c.refContent(ctx, s, ref, d, o)
			if err != nil {
				return err
			}
			err = finish(s.AddLayer(ctx, chains[i+1], chains[i], func(dir string) (images.Applied, error) {
				applied, err := s.ApplyBlob(ctx, d, p.diffIDs[i], content, dir)
				if err == nil {
					free()
					err = st.parent(ctx, i)
				}
				return applied, err
			}))
			if err == nil {
				st.done(i)
				o.report(d, images.Ready, d.Size)
			}
			return err
		})
	}
	return g.Wait()
}

// refContent is a layer's bytes: from the store, or as they come. finish gets what
// became of them, and returns what went wrong first.
func (c *Client) refContent(ctx context.Context, s *images.Store, ref Reference, d Descriptor, o PullOptions) (content io.Reader, finish func(error) error, err error) {
	w, err := s.Blobs().Create(ctx, d)
	download := func(to io.Writer) error {
		defer w.Close()
		err := c.download(ctx, ref, d, w.Offset(), to, o)
		if err == nil {
			_, err = w.Commit()
		}
		return err
	}
	if err == nil && w.Offset() == 0 {
		p, done := newPipe(int(min(buffer, max(d.Size, 1)))), make(chan error, 1)
		go func() {
			err := download(io.MultiWriter(w, p))
			p.CloseWrite(err) // the end only now: who unpacks must not be done with what is false
			done <- err
		}()
		return p, func(err error) error {
			p.CloseRead(nil) // the blob is wanted all the same: it tells who is at fault, or is not here yet
			return cmp.Or(<-done, err)
		}, nil
	}
	if err == nil { // the beginning is in the blob alone: it is unpacked when it is whole
		err = download(w)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, nil, err
	}
	r, err := s.Blobs().Open(d)
	return r, func(err error) error { r.Close(); return err }, err
}
