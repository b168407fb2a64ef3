package images

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// Check reads everything that is in use and returns what is not as the store
// promises, all of it. Nobody may be collecting (Share).
//
//   - a name stands for a manifest or an index that is there, and what hangs on it
//     is there too, but for images of an index (they have a platform) that nobody
//     fetched
//   - every blob is what its name says
//   - an unpacked layer has those below it
func (s *Store) Check() error {
	tags, err := s.Tags()
	if err != nil {
		return err
	}
	var wrong []error
	for _, t := range tags {
		if err := s.checkImage(t); err != nil {
			wrong = append(wrong, fmt.Errorf("image %s: %w", t.Annotations[nameKey], err))
		}
	}
	snapshots, err := s.Snapshots()
	if err != nil {
		return err
	}
	for _, sn := range snapshots {
		if _, err := s.Lowers(sn.Parent); err != nil {
			wrong = append(wrong, fmt.Errorf("snapshot %s: %w", sn.ID, err))
		}
	}
	return errors.Join(append(wrong, s.checkBlobs())...)
}

// checkImage says what is missing of an image, or of those of an index that are here.
func (s *Store) checkImage(target Descriptor) error {
	if !s.Blobs().Has(target.Digest) {
		return fmt.Errorf("%s: %w", target.Digest, ErrNotFound)
	}
	l := live{layers: map[digest.Digest]bool{}}
	children := s.children(l)
	_, err := Mark([]Descriptor{target}, func(d Descriptor) ([]Descriptor, error) {
		if !s.Blobs().Has(d.Digest) {
			return nil, nil
		}
		all, err := children(d)
		for _, c := range all {
			if c.Digest != "" && c.Platform == nil && !s.Blobs().Has(c.Digest) {
				err = errors.Join(err, fmt.Errorf("%s: %w", c.Digest, ErrNotFound))
			}
		}
		return all, err
	})
	return err
}

func (s *Store) checkBlobs() error {
	entries, err := os.ReadDir(s.Path("blobs", "sha256"))
	wrong := []error{err}
	for _, e := range entries {
		r, err := s.Blobs().Open(Descriptor{Digest: digest.Digest("sha256:" + e.Name()), Size: -1})
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		wrong = append(wrong, err)
	}
	layers, err := filepath.Glob(s.Path("layers", "*", "parent"))
	wrong = append(wrong, err)
	for _, file := range layers {
		name := filepath.Base(filepath.Dir(file))
		if !hexName.MatchString(name) || !trusted(filepath.Dir(file)) {
			continue
		}
		if _, err := s.Lowers(digest.Digest("sha256:" + name)); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}
