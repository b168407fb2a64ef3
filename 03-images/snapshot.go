package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// LayerPath returns the folder of an unpacked layer. A folder of this name is not
// enough: trusted says whether a power loss may have torn it.
//
// Errors: ErrNotFound.
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

// AddLayer unpacks a layer unless it is there. fill gets an empty folder and puts
// into it what the layer changes; what it says of folders that no entry named is
// mended from the layers below, so the parent must be there when fill returns.
//
// The layer is whole or not there, however this ends: it grows beside its place,
// and takes it by one rename. Two processes that want the same do the work once:
// the second waits, until ctx ends, and finds it done.
func (s *Store) AddLayer(ctx context.Context, chain, parent digest.Digest, fill func(dir string) (Applied, error)) error {
	if err := checkDigest(chain); err != nil {
		return err
	}
	if _, err := s.LayerPath(chain); err == nil {
		return nil
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
	for _, left := range []string{grown, place} { // half done, or torn
		if err := removeTree(left); err != nil {
			return err
		}
	}
	err = s.refGrow(grown, parent, fill)
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
	applied, err := fill(filepath.Join(dir, "fs"))
	if err != nil {
		return err
	}
	var lower []string
	switch {
	case parent == "":
	case len(applied.Implicit) == 0:
		_, err = s.LayerPath(parent)
	default:
		lower, err = s.Lowers(parent)
	}
	if err != nil {
		return err
	}
	return inherit(filepath.Join(dir, "fs"), applied.Implicit, lower)
}

// Mount mounts the snapshot's tree: what is written there goes to Upper. Device
// nodes do not work in it. Whoever mounts it unmounts it.
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
	// overlay wants two layers where nothing is written to. An empty one last
	// changes nothing, and hides the whiteouts of a first layer that has some.
	return mountOverlay(target, append(lower, s.Path("layers", "empty")), "", "", unix.MS_NODEV|unix.MS_RDONLY)
}

// overlayOptions returns the data of mount(2) for these layers, the topmost first;
// upper and work are "" for a tree that nobody writes to. done is called after the
// mount. (Documentation/filesystems/overlayfs.rst)
//
//	overlayOptions([/b /a], /u, /w) → "userxattr,lowerdir=/b:/a,upperdir=/u,workdir=/w"
//
// userxattr, always: the marks of a deleted or opaque folder are then user.overlay.*
// attributes, which root and an ordinary user write and read alike. ":" parts
// layers, "," options, and "\" takes that meaning away, also from itself. The data
// is less than a page (mount(2)): where it would be more, byDescriptor names each
// folder /proc/self/fd/N.
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
