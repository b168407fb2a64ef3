// Mistake: a layer is downloaded whole before anybody begins to unpack it
package remote

import (
	"context"
	"errors"
	"fmt"
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
		err = c.refLayers(ctx, s, ref, p, o)
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

func (c *Client) refLayers(ctx context.Context, s *images.Store, ref Reference, p *parts, o PullOptions) error {
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(o.Parallel))
	for _, d := range p.layers {
		g.Go(func() error { return c.refDownload(groupCtx, s, ref, d, o) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	chains := append([]digest.Digest{""}, images.ChainIDs(p.diffIDs)...)
	for i, d := range p.layers {
		err := s.AddLayer(ctx, chains[i+1], chains[i], func(dir string) (images.Applied, error) {
			r, err := s.Blobs().Open(d)
			if err != nil {
				return images.Applied{}, err
			}
			defer r.Close()
			return s.ApplyBlob(ctx, d, p.diffIDs[i], r, dir)
		})
		if err != nil {
			return err
		}
		o.report(d, images.Ready, d.Size)
	}
	return nil
}

func (c *Client) refDownload(ctx context.Context, s *images.Store, ref Reference, d Descriptor, o PullOptions) error {
	w, err := s.Blobs().Create(ctx, d)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if err = c.download(ctx, ref, d, w.Offset(), w, o); err == nil {
		_, err = w.Commit()
	}
	return err
}
