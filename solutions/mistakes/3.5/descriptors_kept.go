// Mistake: the layers' descriptors are never closed
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

func (s *Store) LayerPath(chain digest.Digest) (string, error) {
	if err := checkDigest(chain); err != nil {
		return "", err
	}
	dir := s.layer(chain)
	if !trusted(dir) {
		return "", fmt.Errorf("layer %s: %w", chain, ErrNotFound)
	}
	return filepath.Join(dir, "fs"), nil
}
func (s *Store) AddLayer(ctx context.Context, chain, parent digest.Digest, fill func(dir string) (Applied, error)) error {
	if _, err := s.LayerPath(chain); !errors.Is(err, ErrNotFound) {
		return err
	}
	place := s.layer(chain)
	unlock, err := lock(ctx, place+".lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.LayerPath(chain); err == nil { // by whoever had the lock before
		return nil
	}
	grown := place + ".new"
	err = errors.Join(removeTree(grown), removeTree(place)) // half done, or torn
	if err == nil {
		err = s.refGrow(grown, parent, fill)
	}
	if err == nil {
		err = os.Rename(grown, place)
	}
	if err != nil {
		removeTree(grown)
		return fmt.Errorf("layer %s: %w", chain, err)
	}
	os.Remove(place + ".lock") // whoever waits for it finds the layer
	return nil
}

func (s *Store) refGrow(dir string, parent digest.Digest, fill func(dir string) (Applied, error)) error {
	if err := makeLayer(dir, parent); err != nil {
		return err
	}
	fs := filepath.Join(dir, "fs")
	applied, err := fill(fs)
	if err != nil {
		return err
	}
	lower, err := s.Lowers(parent)
	if err != nil {
		return err
	}
	return inherit(fs, applied.Implicit, lower)
}
func (sn *Snapshot) Mount(target string) error {
	lower, err := sn.store.Lowers(sn.Parent)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", sn.ID, err)
	}
	if len(lower) == 0 {
		lower = []string{sn.store.Path("layers", "empty")}
	}
	return mountOverlay(target, lower, sn.Upper(), filepath.Join(sn.dir(), "work"), unix.MS_NODEV)
}
func (s *Store) MountReadonly(chain digest.Digest, target string) error {
	lower, err := s.Lowers(chain)
	if err != nil {
		return err
	}
	return mountOverlay(target, append(lower, s.Path("layers", "empty")), "", "", unix.MS_NODEV|unix.MS_RDONLY)
}
func overlayOptions(lower []string, upper, work string) (data string, done func(), err error) {
	dirs := slices.Clone(lower)
	if upper != "" {
		dirs = append(dirs, upper, work)
	}
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)
	names := make([]string, len(dirs))
	for i, dir := range dirs {
		names[i] = escape.Replace(dir)
	}
	if data = refOptions(names, len(lower)); len(data) < os.Getpagesize() {
		return data, func() {}, nil
	}
	if names, _, err = byDescriptor(dirs); err != nil {
		return "", nil, err
	}
	if data = refOptions(names, len(lower)); len(data) >= os.Getpagesize() {
		return "", nil, fmt.Errorf("%d layers: %w", len(lower), ErrTooLarge)
	}
	return data, func() {}, nil
}

func refOptions(names []string, lower int) string {
	data := "userxattr,lowerdir=" + strings.Join(names[:lower], ":")
	if len(names) > lower {
		data += ",upperdir=" + names[lower] + ",workdir=" + names[lower+1]
	}
	return data
}
