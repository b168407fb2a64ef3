package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A Snapshot is a writable tree on top of a layer (Prepare).
type Snapshot struct {
	store  *Store
	ID     string
	Parent digest.Digest
}

var ids = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$`)

// TemporaryID begins the id of a snapshot that its maker removes before it gives
// Share back, as a build does. One that is found without is left by a crash.
const TemporaryID = "tmp-"

// Temporary says whether Collect may remove the snapshot.
func (sn *Snapshot) Temporary() bool { return strings.HasPrefix(sn.ID, TemporaryID) }

func checkID(id string) error {
	if !ids.MatchString(id) || id == "lock" {
		return fmt.Errorf("snapshot %q: want letters, digits, - and _", cut(id))
	}
	return nil
}

// Snapshot returns the snapshot of this id.
//
// Errors: ErrNotFound.
func (s *Store) Snapshot(id string) (*Snapshot, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	parent, err := readParent(s.Path("active", id))
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	return &Snapshot{s, id, parent}, nil
}

// Snapshots returns all of them, by id.
func (s *Store) Snapshots() ([]*Snapshot, error) {
	entries, err := os.ReadDir(s.Path("active"))
	if err != nil {
		return nil, err
	}
	var all []*Snapshot
	for _, e := range entries {
		if checkID(e.Name()) != nil {
			continue // on its way, or going
		}
		sn, err := s.Snapshot(e.Name())
		if err == nil {
			all = append(all, sn)
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return all, nil
}

func (sn *Snapshot) dir() string { return sn.store.Path("active", sn.ID) }

// Upper returns the folder that takes the changes.
func (sn *Snapshot) Upper() string { return filepath.Join(sn.dir(), "fs") }

// Remove removes what was changed. It must not be mounted.
func (sn *Snapshot) Remove() error { return removeTree(sn.dir()) }

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
