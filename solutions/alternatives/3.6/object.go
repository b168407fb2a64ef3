// Alternative: a layer on its way is an object, its download a goroutine of its own, and slot's error is the group's.
package remote

import (
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
	if ref.Digest != "" && ref.Digest != d.Digest {
		return Descriptor{}, nil, fmt.Errorf("manifest %s: got %s: %w", ref.Digest, d.Digest, images.ErrMismatch)
	}
	return d, data, nil
}

// Pull brings an image into the store, unpacked, and gives it its full name.
func (c *Client) Pull(ctx context.Context, s *images.Store, ref Reference, o PullOptions) (Descriptor, error) {
	d, err := c.pull(ctx, s, ref, o)
	if err != nil {
		return Descriptor{}, fmt.Errorf("pull %s: %w", ref, err)
	}
	return d, nil
}

func (c *Client) pull(ctx context.Context, s *images.Store, ref Reference, o PullOptions) (Descriptor, error) {
	unlock, err := s.Share(ctx)
	if err != nil {
		return Descriptor{}, err
	}
	defer unlock()
	target, data, err := c.Resolve(ctx, ref)
	if err != nil {
		return Descriptor{}, err
	}
	all, err := c.parts(ctx, ref, target, data, o.platform())
	if err != nil {
		return Descriptor{}, err
	}
	if err := c.pullLayers(ctx, s, ref, all, o); err != nil {
		return Descriptor{}, err
	}
	if err := all.keep(s); err != nil {
		return Descriptor{}, err
	}
	if err := s.Tag(ctx, ref.String(), target); err != nil {
		return Descriptor{}, err
	}
	return target, s.Sync()
}

func (c *Client) pullLayers(ctx context.Context, s *images.Store, ref Reference, all *parts, o PullOptions) error {
	g, ctx := errgroup.WithContext(ctx)
	chains := images.ChainIDs(all.diffIDs)
	st := newStack(len(all.layers), parallel(o.Parallel))
	for i, d := range all.layers {
		free, err := st.slot(ctx)
		if err != nil {
			g.Go(func() error { return err }) // nobody has failed before where it is the caller's ctx that ended
			break
		}
		l := &layer{c: c, s: s, ref: ref, o: o, d: d, diffID: all.diffIDs[i], chain: chains[i]}
		if i > 0 {
			l.parent = chains[i-1]
		}
		l.below = func() error {
			free() // it waits for others from here on
			return st.parent(ctx, i)
		}
		g.Go(func() error {
			defer free()
			if err := l.pull(ctx); err != nil {
				return err
			}
			o.report(d, images.Ready, d.Size)
			st.done(i)
			return nil
		})
	}
	return g.Wait()
}

// A layer is one that is pulled.
type layer struct {
	c             *Client
	s             *images.Store
	ref           Reference
	o             PullOptions
	d             Descriptor
	diffID        digest.Digest
	chain, parent digest.Digest
	below         func() error // waits for the layer below
}

// pull brings the blob and what is in it into the store.
func (l *layer) pull(ctx context.Context) error {
	w, err := l.s.Blobs().Create(ctx, l.d)
	if errors.Is(err, fs.ErrExist) {
		return l.unpackStored(ctx)
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if w.Offset() > 0 {
		if err := l.download(ctx, w, w); err != nil {
			return err
		}
		return l.unpackStored(ctx)
	}

	p := newPipe(int(min(buffer, max(l.d.Size, 1))))
	downloaded := make(chan error, 1)
	go func() {
		err := l.download(ctx, w, io.MultiWriter(w, p))
		p.CloseWrite(err) // after Commit: who reads must not be through with a false blob
		downloaded <- err
	}()
	err = l.unpack(ctx, func() (io.ReadCloser, error) { return io.NopCloser(p), nil })
	// The rest is wanted also where nobody reads it: it may be that the layer is there
	// already, or that it cannot be unpacked because it is not what it is called.
	p.CloseRead(nil)
	if failed := <-downloaded; failed != nil {
		return failed
	}
	return err
}

// download brings what w does not have yet, and commits it.
func (l *layer) download(ctx context.Context, w *images.Writer, to io.Writer) error {
	if err := l.c.download(ctx, l.ref, l.d, w.Offset(), to, l.o); err != nil {
		return err
	}
	_, err := w.Commit()
	return err
}

func (l *layer) unpackStored(ctx context.Context) error {
	return l.unpack(ctx, func() (io.ReadCloser, error) { return l.s.Blobs().Open(l.d) })
}

func (l *layer) unpack(ctx context.Context, open func() (io.ReadCloser, error)) error {
	return l.s.AddLayer(ctx, l.chain, l.parent, func(dir string) (images.Applied, error) {
		r, err := open()
		if err != nil {
			return images.Applied{}, err
		}
		defer r.Close()
		applied, err := l.s.ApplyBlob(ctx, l.d, l.diffID, r, dir)
		if err == nil {
			err = l.below()
		}
		return applied, err
	})
}
