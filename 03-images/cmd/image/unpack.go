package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	images "coracle/03-images"
)

func (p *program) unpack() *cobra.Command {
	return p.platformFlag(&cobra.Command{
		Use: "unpack NAME DIR", Short: "Unpack an image into an ordinary folder", Args: exactly(2),
		Long: `Unpacks all layers into DIR, which is empty or not there yet: the root file system
as isolate --root takes it. An ordinary user owns all of it; who should is kept in
the attribute user.coracle.owner of each file.`,
		RunE: p.run(layers, func(ctx context.Context, s *images.Store, args []string) error {
			img, err := p.image(s, args[0])
			if err != nil {
				return err
			}
			owners := s.Owners()
			if p.ordinary { // files of another id could not be removed by who called
				owners = images.Single
			}
			unlock, err := s.Share(ctx)
			if err != nil {
				return err
			}
			defer unlock()
			return unpackInto(ctx, s, img, args[1], owners)
		}),
	})
}

// unpackInto unpacks the layers one on the other. Where it fails it leaves nothing.
func unpackInto(ctx context.Context, s *images.Store, img *images.Image, dir string, owners images.Owners) error {
	made := os.Mkdir(dir, 0o755) == nil
	dir, err := folder(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: an image is unpacked into a folder of its own", dir)
	}
	progress, end := show()
	defer end()
	for i, layer := range img.Layers {
		if err = unpackOne(ctx, s, layer, img.Config.RootFS.DiffIDs[i], dir, owners, progress); err != nil {
			break
		}
	}
	if err == nil {
		return nil
	}
	entries, _ = os.ReadDir(dir)
	for _, e := range entries {
		os.RemoveAll(filepath.Join(dir, e.Name()))
	}
	if made {
		os.Remove(dir)
	}
	return err
}

func unpackOne(ctx context.Context, s *images.Store, layer images.Descriptor, diffID digest.Digest, dir string, owners images.Owners, p images.Progress) error {
	blob, err := s.Blobs().Open(layer)
	if err != nil {
		return err
	}
	defer blob.Close()
	p(images.Event{Digest: layer.Digest, Stage: images.Unpack, Total: layer.Size})
	plain, err := images.Decompress(layer.MediaType, blob)
	if err != nil {
		return err
	}
	defer plain.Close()
	sum := diffID.Verifier()
	if _, err := images.Apply(ctx, io.TeeReader(plain, sum), dir, images.ApplyOptions{Owners: owners, Plain: true}); err != nil {
		return err
	}
	// What the compressor left at its end belongs to the blob's digest.
	if _, err := io.Copy(io.Discard, blob); err != nil {
		return err
	}
	if !sum.Verified() {
		return fmt.Errorf("layer %s: the tar inside is not the diff ID %s: %w", layer.Digest, diffID, images.ErrMismatch)
	}
	p(images.Event{Digest: layer.Digest, Stage: images.Ready, Done: layer.Size, Total: layer.Size})
	return nil
}
