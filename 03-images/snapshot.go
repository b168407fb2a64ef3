package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Prepare makes a writable snapshot on top of a layer, or of nothing: parent "".
// Its files are in active/ID: fs, which takes the changes, work, which overlay
// needs beside it, and the parent's name.
//
// Errors: fs.ErrExist if there is one of this id; ErrNotFound if a layer is missing.
func (s *Store) Prepare(ctx context.Context, id string, parent digest.Digest) (*Snapshot, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, s.Path("active", "lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	lower, err := s.Lowers(parent)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	if _, err := s.Snapshot(id); !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("snapshot %s: %w", id, cmp.Or(err, fs.ErrExist))
	}
	place := s.Path("active", id)
	grown := place + ".new"
	err = errors.Join(removeTree(grown), removeTree(place), makeLayer(grown, parent))
	if err == nil {
		err = os.Mkdir(filepath.Join(grown, "work"), 0o700)
	}
	if err == nil { // the tree's root is the upper one's: it must look like the one below
		err = inherit(filepath.Join(grown, "fs"), []string{"."}, lower)
	}
	if err == nil {
		err = os.Rename(grown, place)
	}
	if err != nil {
		removeTree(grown)
		return nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	return &Snapshot{s, id, parent}, nil
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
	return refOverlay(target, lower, sn.Upper(), filepath.Join(sn.dir(), "work"), unix.MS_NODEV)
}

// MountReadonly mounts a layer and those below it.
func (s *Store) MountReadonly(chain digest.Digest, target string) error {
	lower, err := s.Lowers(chain)
	if err != nil {
		return err
	}
	// overlay wants two layers where nothing is written to. An empty one last
	// changes nothing, and hides the whiteouts of a first layer that has some.
	return refOverlay(target, append(lower, s.Path("layers", "empty")), "", "", unix.MS_NODEV|unix.MS_RDONLY)
}

func refOverlay(target string, lower []string, upper, work string, flags uintptr) error {
	options, done, err := overlayOptions(lower, upper, work)
	if err == nil {
		defer done()
		err = unix.Mount("overlay", target, "overlay", flags, options)
	}
	if err != nil {
		return fmt.Errorf("mount %d layers on %s: %w", len(lower), target, err)
	}
	return nil
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
// is one page at most (mount(2)): where it would be more, each folder is opened
// and named /proc/self/fd/N.
func overlayOptions(lower []string, upper, work string) (data string, done func(), err error) {
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace
	var open []*os.File
	done = func() {
		for _, f := range open {
			f.Close()
		}
	}
	name := escape
	for {
		var names []string
		for _, dir := range lower {
			names = append(names, name(dir))
		}
		data = "userxattr,lowerdir=" + strings.Join(names, ":")
		if upper != "" {
			data += ",upperdir=" + name(upper) + ",workdir=" + name(work)
		}
		if err != nil {
			done()
			return "", nil, err
		}
		if len(data) < os.Getpagesize() {
			return data, done, nil
		}
		if open != nil {
			done()
			return "", nil, fmt.Errorf("%d layers: %w", len(lower), ErrTooLarge)
		}
		name = func(dir string) string {
			f, e := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if e != nil {
				err = errors.Join(err, e)
				return ""
			}
			open = append(open, f)
			return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		}
	}
}
