// Alternative: a scratch folder that is removed however it ends, and options escaped byte by byte.
package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

func (s *Store) LayerPath(chain digest.Digest) (string, error) {
	err := checkDigest(chain)
	if err == nil && trusted(s.layer(chain)) {
		return s.layer(chain) + "/fs", nil
	}
	if err == nil {
		err = fmt.Errorf("no layer %s: %w", chain, ErrNotFound)
	}
	return "", err
}

func (s *Store) AddLayer(ctx context.Context, chain, parent digest.Digest, fill func(dir string) (Applied, error)) (err error) {
	if err := checkDigest(chain); err != nil {
		return err
	}
	there := func() bool {
		_, err := s.LayerPath(chain)
		return err == nil
	}
	place, scratch, locked := s.layer(chain), s.layer(chain)+".new", s.layer(chain)+".lock"
	if there() {
		return nil
	}
	unlock, err := lock(ctx, locked, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			os.Remove(locked)
		}
		unlock()
	}()
	if there() {
		return nil
	}
	if err = removeTree(scratch); err != nil {
		return err
	}
	defer removeTree(scratch)
	if err = makeLayer(scratch, parent); err != nil {
		return err
	}
	a, err := fill(filepath.Join(scratch, "fs"))
	if err != nil {
		return fmt.Errorf("fill layer %s: %w", chain, err)
	}
	below, err := s.Lowers(parent)
	if err != nil {
		return fmt.Errorf("below layer %s: %w", chain, err)
	}
	if err = inherit(filepath.Join(scratch, "fs"), a.Implicit, below); err != nil {
		return err
	}
	if err = removeTree(place); err != nil {
		return err
	}
	return os.Rename(scratch, place)
}

func (sn *Snapshot) Mount(target string) error {
	return sn.store.refMount(sn.Parent, target, unix.MS_NODEV, sn.Upper(), sn.dir()+"/work")
}

func (s *Store) MountReadonly(chain digest.Digest, target string) error {
	return s.refMount(chain, target, unix.MS_NODEV|unix.MS_RDONLY, "", "")
}

func (s *Store) refMount(chain digest.Digest, target string, flags uintptr, upper, work string) error {
	layers, err := s.Lowers(chain)
	if err != nil {
		return err
	}
	if upper == "" || len(layers) == 0 {
		layers = append(layers, s.Path("layers", "empty"))
	}
	return mountOverlay(target, layers, upper, work, flags)
}

func overlayOptions(lower []string, upper, work string) (string, func(), error) {
	data := refData(lower, upper, work)
	if len(data) < os.Getpagesize() {
		return data, func() {}, nil
	}
	dirs := append([]string{}, lower...)
	if upper != "" {
		dirs = append(dirs, upper, work)
	}
	short, done, err := byDescriptor(dirs)
	if err != nil {
		return "", nil, err
	}
	if upper != "" {
		upper, work = short[len(lower)], short[len(lower)+1]
	}
	data = refData(short[:len(lower)], upper, work)
	if len(data) < os.Getpagesize() {
		return data, done, nil
	}
	done()
	return "", nil, fmt.Errorf("%d layers do not fit into the options of a mount: %w", len(lower), ErrTooLarge)
}

func refData(lower []string, upper, work string) string {
	var data bytes.Buffer
	put := func(dir string) {
		for i := range len(dir) {
			switch dir[i] {
			case ':', ',', '\\':
				data.WriteByte('\\')
			}
			data.WriteByte(dir[i])
		}
	}
	data.WriteString("userxattr,lowerdir=")
	for i, dir := range lower {
		if i > 0 {
			data.WriteByte(':')
		}
		put(dir)
	}
	if upper != "" {
		data.WriteString(",upperdir=")
		put(upper)
		data.WriteString(",workdir=")
		put(work)
	}
	return data.String()
}
