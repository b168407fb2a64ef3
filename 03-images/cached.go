package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
)

// A Cached step of a build: the file cache/HEX, by the step's key. Blobs are what
// it made, and are kept with it; Chain is its layer and those below, unpacked.
type Cached struct {
	Layer  Descriptor    `json:"layer"` // Digest "": the step changed no file
	DiffID digest.Digest `json:"diffID,omitempty"`
	Chain  digest.Digest `json:"chain,omitempty"`
}

// Cached returns what the step of this key made, and notes that it was asked for.
//
// Errors: ErrNotFound, also if a part of it is gone.
func (s *Store) Cached(key digest.Digest) (Cached, error) {
	if err := checkDigest(key); err != nil {
		return Cached{}, err
	}
	file := s.Path("cache", key.Encoded())
	c, err := readCached(file)
	if err != nil {
		return c, err
	}
	if c.Layer.Digest != "" && !s.Blobs().Has(c.Layer.Digest) {
		return c, fmt.Errorf("cached step %s: layer %s: %w", key, c.Layer.Digest, ErrNotFound)
	}
	now := time.Now()
	os.Chtimes(file, now, now) // for Collect; if it cannot be noted, the step is made again one day
	return c, nil
}

// PutCached remembers what a step made. The caller holds Share.
func (s *Store) PutCached(key digest.Digest, c Cached) error {
	if err := checkDigest(key); err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return WriteFile(s.Path("cache", key.Encoded()), text)
}

func readCached(file string) (Cached, error) {
	var c Cached
	text, err := os.ReadFile(file)
	if err != nil {
		return c, notFound("cached step "+filepath.Base(file), err)
	}
	if json.Unmarshal(text, &c) != nil { // as if it were not there: it is made again
		return Cached{}, fmt.Errorf("cached step %s: no JSON: %w", filepath.Base(file), ErrNotFound)
	}
	return c, nil
}

// keptSteps lists the cached steps that were asked for within this time, by file name.
func (s *Store) keptSteps(within time.Duration) (map[string]Cached, error) {
	entries, err := os.ReadDir(s.Path("cache"))
	if err != nil {
		return nil, err
	}
	kept := map[string]Cached{}
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && time.Since(fi.ModTime()) >= within {
			continue
		}
		if err != nil {
			return nil, err
		}
		if c, err := readCached(s.Path("cache", e.Name())); err == nil {
			kept[e.Name()] = c
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return kept, nil
}
