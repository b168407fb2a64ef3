package images

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Unpack unpacks an image's layers that are not unpacked yet, two at a time, and
// returns the chain ID of the topmost. The caller holds Share.
//
// Layers do not depend on each other until their last step: a folder that a layer
// does not name is mended from those below, so each waits there for the one below.
func (s *Store) Unpack(ctx context.Context, img *Image, p Progress) (digest.Digest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	chains := ChainIDs(img.Config.RootFS.DiffIDs)
	slots := make(chan struct{}, 2)
	done := make([]chan struct{}, len(chains)) // closed once the layer is there
	var all sync.WaitGroup
	for i := range chains {
		done[i] = make(chan struct{})
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			free := sync.OnceFunc(func() { <-slots })
			defer free()
			var parent digest.Digest
			if i > 0 {
				parent = chains[i-1]
			}
			err := s.AddLayer(ctx, chains[i], parent, func(dir string) (Applied, error) {
				applied, err := s.unpackLayer(ctx, img.Layers[i], img.Config.RootFS.DiffIDs[i], dir, p)
				free()
				if err == nil && i > 0 {
					select {
					case <-done[i-1]:
					case <-ctx.Done():
						err = context.Cause(ctx)
					}
				}
				return applied, err
			})
			if err != nil {
				cancel(fmt.Errorf("unpack layer %d of %d: %w", i+1, len(chains), err))
				return
			}
			p.send(Event{img.Layers[i].Digest, Ready, img.Layers[i].Size, img.Layers[i].Size})
			close(done[i])
		})
	}
	all.Wait()
	return img.Chain(), context.Cause(ctx)
}

// unpackLayer unpacks one blob and verifies both of its digests: as shipped, and
// of the tar inside.
func (s *Store) unpackLayer(ctx context.Context, layer Descriptor, diffID digest.Digest, dir string, p Progress) (Applied, error) {
	blob, err := s.Blobs().Open(layer)
	if err != nil {
		return Applied{}, err
	}
	defer blob.Close()
	return s.ApplyBlob(ctx, layer, diffID, &counted{blob, Event{layer.Digest, Unpack, 0, layer.Size}, p}, dir)
}

// ApplyBlob unpacks a layer from where it comes, compressed, and verifies the
// tar's digest. r is read to its end, so that it can verify its own.
func (s *Store) ApplyBlob(ctx context.Context, layer Descriptor, diffID digest.Digest, r io.Reader, dir string) (Applied, error) {
	plain, err := Decompress(layer.MediaType, r)
	if err != nil {
		return Applied{}, err
	}
	defer plain.Close()
	sum := diffID.Verifier()
	applied, err := Apply(ctx, io.TeeReader(plain, sum), dir, ApplyOptions{Owners: s.owners})
	if err != nil {
		return applied, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // a compressor's last block may be left
		return applied, err
	}
	if !sum.Verified() {
		return applied, fmt.Errorf("layer %s: the tar inside is not the diff ID %s: %w", layer.Digest, diffID, ErrMismatch)
	}
	return applied, nil
}

// counted tells how far a blob was read.
type counted struct {
	io.Reader
	event Event
	p     Progress
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.event.Done += int64(n)
	c.p.send(c.event)
	return n, err
}
