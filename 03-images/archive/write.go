package archive

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
)

// write writes what was noted, in an order that depends on nothing else.
func (s *saver) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	layout, _ := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	index, err := json.Marshal(s.index)
	if err != nil {
		return err
	}
	docker, err := json.Marshal(s.docker)
	if err != nil {
		return err
	}
	for _, dir := range []string{v1.ImageBlobsDir, v1.ImageBlobsDir + "/sha256"} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
	}
	blobs := []images.Descriptor{}
	for _, d := range s.blobs {
		blobs = append(blobs, d)
	}
	slices.SortFunc(blobs, func(a, b images.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	for _, d := range blobs {
		if err := s.blob(tw, d); err != nil {
			return err
		}
	}
	for _, l := range s.plain {
		if err := s.unpacked(tw, l); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{v1.ImageLayoutFile, layout}, {"index.json", index}, {"manifest.json", docker}} {
		if f.name == "manifest.json" && len(s.docker) == 0 {
			continue
		}
		if err := s.header(tw, f.name, int64(len(f.data))); err != nil {
			return err
		}
		if _, err := tw.Write(f.data); err != nil {
			return err
		}
	}
	return tw.Close()
}

func (s *saver) header(tw *tar.Writer, name string, size int64) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size})
}

func (s *saver) blob(tw *tar.Writer, d images.Descriptor) error {
	r, err := s.store.Blobs().Open(d)
	if err != nil {
		return err
	}
	defer r.Close()
	fi, err := os.Stat(s.store.Blobs().Path(d.Digest))
	if err != nil {
		return err
	}
	if err := s.header(tw, entryOf(d.Digest), fi.Size()); err != nil {
		return err
	}
	tell := func(stage images.Stage, done int64) {
		if s.layers[d.Digest] {
			s.o.Progress(images.Event{Digest: d.Digest, Stage: stage, Done: done, Total: fi.Size()})
		}
	}
	var done int64
	_, err = io.Copy(tw, reader{s.ctx, counted{r, func(n int) {
		done += int64(n)
		tell(writing, done)
	}}})
	if err == nil {
		tell(images.Ready, done)
	}
	return err
}

// unpacked writes a layer without its compression. Its size is known only then, and
// stands before it: so it goes to the disk first.
func (s *saver) unpacked(tw *tar.Writer, l zstdLayer) error {
	if _, ok := s.blobs[l.plain.Digest]; ok {
		return nil
	}
	s.blobs[l.plain.Digest] = l.plain
	r, err := s.store.Blobs().Open(l.blob)
	if err != nil {
		return err
	}
	defer r.Close()
	plain, err := images.Decompress(l.blob.MediaType, r)
	if err != nil {
		return err
	}
	defer plain.Close()
	f, err := spool(s.store)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(reader{s.ctx, plain}, images.MaxBlob))
	if got := digest.NewDigest(digest.SHA256, hash); err == nil && got != l.plain.Digest {
		err = fmt.Errorf("layer %s: unpacked it is %s, not %s: %w", l.blob.Digest, got, l.plain.Digest, images.ErrMismatch)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = s.header(tw, entryOf(l.plain.Digest), size)
	}
	if err == nil {
		_, err = io.Copy(tw, f)
	}
	return err
}
