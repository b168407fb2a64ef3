// Alternative: growing is a function of its own that leaves nothing behind; options are written one by one.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

func (s *Store) LayerPath(chain digest.Digest) (string, error) {
	if err := checkDigest(chain); err != nil {
		return "", err
	}
	dir := s.layer(chain)
	files := filepath.Join(dir, "fs")
	if _, err := os.Lstat(files); err != nil {
		return "", notFound("layer "+chain.String(), err)
	}
	if !trusted(dir) {
		return "", fmt.Errorf("layer %s: %w", chain, ErrNotFound)
	}
	return files, nil
}

func (s *Store) AddLayer(ctx context.Context, chain, parent digest.Digest, fill func(dir string) (Applied, error)) error {
	if parent != "" {
		if err := checkDigest(parent); err != nil {
			return err
		}
	}
	if _, err := s.LayerPath(chain); !errors.Is(err, ErrNotFound) {
		return err
	}
	place := s.layer(chain)
	lockFile := place + ".lock"
	unlock, err := lock(ctx, lockFile, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.LayerPath(chain); err != nil { // nobody made it meanwhile
		if err := s.refGrow(place, parent, fill); err != nil {
			return err
		}
	}
	os.Remove(lockFile) // before unlock: afterwards it may be another's
	return nil
}

func (s *Store) refGrow(place string, parent digest.Digest, fill func(dir string) (Applied, error)) (err error) {
	grown := place + ".new"
	if err := errors.Join(removeTree(grown), removeTree(place)); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, removeTree(grown)) // after the rename there is none
	}()
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

func (sn *Snapshot) Mount(target string) error {
	lower, err := sn.store.Lowers(sn.Parent)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", sn.ID, err)
	}
	if len(lower) == 0 {
		lower = []string{sn.store.refEmpty()}
	}
	return mountOverlay(target, lower, sn.Upper(), filepath.Join(sn.dir(), "work"), unix.MS_NODEV)
}

func (s *Store) refEmpty() string { return s.Path("layers", "empty") }

func (s *Store) MountReadonly(chain digest.Digest, target string) error {
	lower, err := s.Lowers(chain)
	if err != nil {
		return err
	}
	return mountOverlay(target, append(lower, s.refEmpty()), "", "", unix.MS_NODEV|unix.MS_RDONLY)
}

func overlayOptions(lower []string, upper, work string) (data string, done func(), err error) {
	data = refData(lower, upper, work)
	if len(data) < os.Getpagesize() {
		return data, func() {}, nil
	}
	dirs := lower
	if upper != "" {
		dirs = append([]string{upper, work}, lower...)
	}
	names, done, err := byDescriptor(dirs)
	if err != nil {
		return "", nil, err
	}
	if upper != "" {
		upper, work, names = names[0], names[1], names[2:]
	}
	data = refData(names, upper, work)
	if len(data) >= os.Getpagesize() {
		done()
		return "", nil, fmt.Errorf("%d layers: mount options of %d bytes: %w", len(lower), len(data), ErrTooLarge)
	}
	return data, done, nil
}

var refEscape = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)

func refData(lower []string, upper, work string) string {
	var b strings.Builder
	for i, dir := range lower {
		if i == 0 {
			b.WriteString("userxattr,lowerdir=")
		} else {
			b.WriteString(":")
		}
		refEscape.WriteString(&b, dir)
	}
	if upper != "" {
		b.WriteString(",upperdir=" + refEscape.Replace(upper) + ",workdir=" + refEscape.Replace(work))
	}
	return b.String()
}
