// Mistake: a name that is there is believed: after a power loss the files may not be
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

// LayerPath returns the folder of an unpacked layer.
func (s *Store) LayerPath(chain digest.Digest) (string, error) {
	if err := checkDigest(chain); err != nil {
		return "", err
	}
	dir := s.layer(chain)
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("layer %s: %w", chain, ErrNotFound)
	}
	return filepath.Join(dir, "fs"), nil
}

// AddLayer unpacks a layer unless it is there.
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
	if _, err := s.LayerPath(chain); err != nil { // not by whoever had the lock before
		if err := s.refGrow(place, parent, fill); err != nil {
			return fmt.Errorf("layer %s: %w", chain, err)
		}
	}
	os.Remove(place + ".lock") // now, while it is ours; whoever waits for it finds the layer
	return nil
}

func (s *Store) refGrow(place string, parent digest.Digest, fill func(dir string) (Applied, error)) (err error) {
	grown := place + ".new"
	defer func() {
		if err != nil {
			removeTree(grown)
		}
	}()
	if err := errors.Join(removeTree(grown), removeTree(place)); err != nil { // half done, or torn
		return err
	}
	if err := makeLayer(grown, parent); err != nil {
		return err
	}
	files := filepath.Join(grown, "fs")
	applied, err := fill(files)
	if err != nil {
		return err
	}
	lower, err := s.Lowers(parent)
	if err != nil {
		return err
	}
	if err := inherit(files, applied.Implicit, lower); err != nil {
		return err
	}
	return os.Rename(grown, place)
}

// Mount mounts the snapshot's tree.
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

// MountReadonly mounts a layer and those below it.
func (s *Store) MountReadonly(chain digest.Digest, target string) error {
	lower, err := s.Lowers(chain)
	if err != nil {
		return err
	}
	// The empty one hides the whiteouts of a first layer that has some, too.
	return mountOverlay(target, append(lower, s.Path("layers", "empty")), "", "", unix.MS_NODEV|unix.MS_RDONLY)
}

// overlayOptions returns the data of mount(2) for these layers.
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
	if names, done, err = byDescriptor(dirs); err != nil {
		return "", nil, err
	}
	if data = refOptions(names, len(lower)); len(data) >= os.Getpagesize() {
		done()
		return "", nil, fmt.Errorf("%d layers: %w", len(lower), ErrTooLarge)
	}
	return data, done, nil
}

func refOptions(names []string, lower int) string {
	data := "userxattr,lowerdir=" + strings.Join(names[:lower], ":")
	if len(names) > lower {
		data += ",upperdir=" + names[lower] + ",workdir=" + names[lower+1]
	}
	return data
}
