package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"coracle/03-images"
)

// Resolve asks the registry what a reference stands for: the descriptor of a
// manifest or an index, and its bytes. Size and digest are of what came, never what
// a header says.
//
//	Resolve(localhost:5000/app:1) → {application/vnd.oci.image.index.v1+json, sha256:12…, 854}
//
// Errors: ErrNotFound; ErrMismatch, naming both, if ref has a digest and something
// else came.
// May use: c.manifest.
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

// Pull brings an image into the store, unpacked, and gives it its full name. Of an
// index only the image for the platform comes, and the index itself, so that the
// name stands for what it stands for in the registry. It returns that.
//
//	index ─▶ manifest ─▶ config ─▶ layers ─▶ names
//	                      └ says what is inside the layers
//
// Layers come parallel(o.Parallel) at once, the lowest first, and each is downloaded,
// verified and unpacked in one go: what arrives is written to the blob and through a
// bounded buffer to who unpacks it. Nobody believes a layer before its blob was
// committed. What the store has is not asked for (Create says so, also where an image
// has the same blob twice: whoever comes second waits there). A download that broke
// off goes on, and is unpacked when it is whole.
//
// The caller sees all or nothing: manifests are kept and the name is given after the
// last layer; last of all, what was unpacked is brought to the disk. The store is
// shared all the while, so that Collect takes nothing away.
//
// Errors: the first; they begin with the reference. All goroutines have ended then.
// May use: c.readConfig, c.blob, newPipe, newStack, images.Select, Store.AddLayer,
// ApplyBlob, Sync.
func (c *Client) Pull(ctx context.Context, s *images.Store, ref Reference, o PullOptions) (Descriptor, error) {
	target, err := c.refPull(ctx, s, ref, o)
	if err != nil {
		return Descriptor{}, fmt.Errorf("pull %s: %w", ref, err)
	}
	return target, nil
}

func (c *Client) refPull(ctx context.Context, s *images.Store, ref Reference, o PullOptions) (Descriptor, error) {
	unlock, err := s.Share(ctx)
	if err != nil {
		return Descriptor{}, err
	}
	defer unlock()
	target, data, err := c.Resolve(ctx, ref)
	if err != nil {
		return target, err
	}
	d, keep := target, [][]byte{data}
	if images.IsIndex(d.MediaType) {
		index, err := images.ParseIndex(d.MediaType, data)
		if err != nil {
			return target, err
		}
		want, err := images.Select(index, o.platform())
		if err != nil {
			return target, err
		}
		if d, data, err = c.Resolve(ctx, ref.At(want.Digest)); err != nil {
			return target, err
		}
		if d.Size != want.Size {
			return target, fmt.Errorf("manifest %s: %d bytes came, the index says %d: %w", d.Digest, d.Size, want.Size, images.ErrMismatch)
		}
		keep = append(keep, data)
	}
	m, diffIDs, config, err := c.readConfig(ctx, ref, d, data)
	if err == nil {
		err = c.refLayers(ctx, s, ref, m.Layers, diffIDs, o)
	}
	for _, data := range append(keep, config) {
		if err == nil {
			_, err = s.Blobs().Put("", data)
		}
	}
	if err == nil {
		err = s.Tag(ctx, ref.String(), target)
	}
	if err == nil {
		err = s.Sync()
	}
	return target, err
}

func (c *Client) refLayers(ctx context.Context, s *images.Store, ref Reference, layers []Descriptor, diffIDs []digest.Digest, o PullOptions) error {
	chains, there := images.ChainIDs(diffIDs), newStack(len(layers))
	slots := make(chan struct{}, parallel(o.Parallel))
	g, ctx := errgroup.WithContext(ctx)
	for i, d := range layers {
		select { // in order: whoever waits for a lower layer then waits for one that has begun
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			free := sync.OnceFunc(func() { <-slots })
			defer free()
			content, finish, err := c.refContent(ctx, s, ref, d, o)
			if err != nil {
				return err
			}
			var parent digest.Digest
			if i > 0 {
				parent = chains[i-1]
			}
			err = finish(s.AddLayer(ctx, chains[i], parent, func(dir string) (images.Applied, error) {
				applied, err := s.ApplyBlob(ctx, d, diffIDs[i], content, dir)
				if free(); err == nil {
					err = there.parent(ctx, i)
				}
				return applied, err
			}))
			if err == nil {
				there.done(i)
				o.report(d, images.Ready, d.Size)
			}
			return err
		})
	}
	return g.Wait()
}

// refContent is a layer's bytes: from the store, or as they come. finish gets what
// became of them, and returns what went wrong first.
func (c *Client) refContent(ctx context.Context, s *images.Store, ref Reference, d Descriptor, o PullOptions) (io.Reader, func(error) error, error) {
	w, err := s.Blobs().Create(ctx, d)
	if err == nil && w.Offset() == 0 {
		p, done := newPipe(buffer), make(chan error, 1)
		go func() {
			err := c.refDownload(ctx, ref, d, w, p, o)
			p.CloseWrite(err) // the end only now: who unpacks must not be done with what is false
			done <- err
		}()
		return p, func(err error) error {
			p.CloseRead(err) // nil, where the layer was there: the blob is wanted all the same
			if down := <-done; down != nil {
				return down
			}
			return err
		}, nil
	}
	if err == nil {
		err = c.refDownload(ctx, ref, d, w, io.Discard, o)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, nil, err
	}
	r, err := s.Blobs().Open(d)
	return r, func(err error) error { r.Close(); return err }, err
}

func (c *Client) refDownload(ctx context.Context, ref Reference, d Descriptor, w *images.Writer, also io.Writer, o PullOptions) error {
	defer w.Close()
	body, err := c.blob(ctx, ref, d, w.Offset())
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err = io.CopyBuffer(io.MultiWriter(w, also), o.count(body, d, w.Offset()), make([]byte, 256<<10)); err == nil {
		_, err = w.Commit()
	}
	return err
}
