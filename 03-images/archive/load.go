package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	images "coracle/03-images"
	"coracle/03-images/remote"
)

// LoadOptions are what a reader of an archive may say. The zero value asks for nothing.
type LoadOptions struct {
	Name     string // instead of what the archive calls its one image
	MaxBytes int64  // of the archive once unpacked; 0: 64 GiB
	Progress images.Progress
}

// A Loaded is an image that an archive brought.
type Loaded struct {
	Name   string
	Target images.Descriptor
}

// Load puts the images of an archive into the store and returns them by the names
// that they have there now.
//
// Errors: ErrNotFound, naming what an image lacks; ErrMismatch; an archive of
// neither layout, with entries that no image has, or larger than allowed.
func Load(ctx context.Context, s *images.Store, r io.Reader, o LoadOptions) ([]Loaded, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 30
	}
	if o.Progress == nil {
		o.Progress = func(images.Event) {}
	}
	unlock, err := s.Share(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, err := open(ctx, s, r, o.MaxBytes)
	if err != nil {
		return nil, err
	}
	defer e.close()
	l := &loader{ctx: ctx, blobs: s.Blobs(), entries: e, progress: o.Progress, seen: map[digest.Digest]bool{}}
	found, err := l.images()
	if err != nil {
		return nil, err
	}
	if found, err = named(found, o.Name); err != nil {
		return nil, err
	}
	for _, i := range found {
		if err := s.Tag(ctx, i.Name, i.Target); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// A loader moves what is in an archive into blobs.
type loader struct {
	ctx      context.Context
	blobs    *images.Blobs
	entries  *entries
	progress images.Progress
	seen     map[digest.Digest]bool // manifests and indexes that are in the store
}

func (l *loader) images() ([]Loaded, error) {
	_, oci := l.entries.find(v1.ImageLayoutFile)
	_, docker := l.entries.find("manifest.json")
	switch {
	case oci:
		return l.oci()
	case docker:
		return l.docker()
	}
	return nil, errors.New("archive: neither oci-layout nor manifest.json in it: no image of docker save or of the OCI layout")
}

// named gives the images their names: what the archive says, or what the caller does.
func named(found []Loaded, name string) ([]Loaded, error) {
	if name == "" {
		for _, i := range found {
			if i.Name == "" {
				return nil, fmt.Errorf("archive: it does not say what %s is called: load it with a name (--name)", i.Target.Digest)
			}
		}
		return found, nil
	}
	for _, i := range found {
		if i.Target.Digest != found[0].Target.Digest {
			return nil, fmt.Errorf("archive: %d images in it, of which one cannot be %s", len(found), name)
		}
	}
	ref, err := remote.Parse(name)
	return []Loaded{{ref.String(), found[0].Target}}, err
}

// take brings one blob into the store, from the entry of that name, if it is not
// there already. It is verified against want.Digest, if that is known.
func (l *loader) take(entry string, want images.Descriptor) (images.Descriptor, error) {
	if want.Digest != "" && l.blobs.Has(want.Digest) {
		l.tell(want, images.Exists, want.Size, want.Size)
		return want, nil
	}
	r, ok := l.entries.section(entry)
	if !ok {
		return want, fmt.Errorf("archive: %s: %w", entry, images.ErrNotFound)
	}
	w, err := l.blobs.Create(l.ctx, want)
	if errors.Is(err, os.ErrExist) {
		return want, nil
	} else if err != nil {
		return want, err
	}
	defer w.Close()
	done := w.Offset()
	if _, err = r.Seek(done, io.SeekStart); err == nil {
		_, err = io.Copy(w, reader{l.ctx, counted{r, func(n int) {
			done += int64(n)
			l.tell(want, reading, done, r.Size())
		}}})
	}
	if err != nil {
		return want, fmt.Errorf("archive: %s: %w", entry, err)
	}
	got, err := w.Commit()
	if err != nil {
		return want, fmt.Errorf("archive: %s: %w", entry, err)
	}
	got.MediaType = want.MediaType
	l.tell(got, images.Ready, got.Size, got.Size)
	return got, nil
}

// What is done to a layer here.
const (
	reading images.Stage = "load"
	writing images.Stage = "save"
)

// tell says how far a layer is; of what has no digest yet, nothing can be said.
func (l *loader) tell(d images.Descriptor, stage images.Stage, done, total int64) {
	if d.Digest != "" && d.MediaType != v1.MediaTypeImageConfig {
		l.progress(images.Event{Digest: d.Digest, Stage: stage, Done: done, Total: total})
	}
}

// A counted tells of each piece that was read.
type counted struct {
	io.Reader
	tell func(n int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.tell(n)
	return n, err
}
