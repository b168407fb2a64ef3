// Alternative: ring by ring around the roots, and everything in one function.
package images

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
)

func Mark(roots []Descriptor, children func(Descriptor) ([]Descriptor, error)) (map[digest.Digest]bool, error) {
	all := map[digest.Digest]bool{}
	ring := map[digest.Digest]Descriptor{}
	add := func(list []Descriptor) {
		for _, d := range list {
			if !all[d.Digest] {
				all[d.Digest], ring[d.Digest] = true, d
			}
		}
	}
	for add(roots); len(ring) > 0; {
		now := slices.Collect(maps.Values(ring))
		clear(ring)
		for _, d := range now {
			next, err := children(d)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.Digest, err)
			}
			add(next)
		}
	}
	return all, nil
}

func (s *Store) Collect(ctx context.Context, o CollectOptions) (done Collected, err error) {
	unlock, err := s.Alone(ctx)
	if err != nil {
		return done, err
	}
	defer unlock()
	tags, err := s.Tags()
	if err != nil {
		return done, err
	}
	snapshots, err := s.Snapshots()
	if err != nil {
		return done, err
	}
	steps, err := s.keptSteps(o.Steps)
	if err != nil {
		return done, err
	}
	l := live{blobs: map[digest.Digest]bool{}, layers: map[digest.Digest]bool{}, steps: map[string]bool{}}
	snapshots = slices.DeleteFunc(snapshots, (*Snapshot).Temporary)
	for _, sn := range snapshots {
		l.addLayers(s, sn.Parent)
	}
	roots := slices.Clone(tags)
	for name, step := range steps {
		l.steps[name] = true
		l.addLayers(s, step.Chain)
		roots = append(roots, step.Layer)
	}
	for _, root := range roots { // each by itself: more work, and the same blobs
		from, err := Mark([]Descriptor{root}, s.children(l))
		if err != nil {
			return done, err
		}
		maps.Copy(l.blobs, from)
	}
	w := &sweeper{store: s, o: o}
	if err = w.steps(ctx, l); err == nil {
		err = w.partial(ctx, l)
	}
	if err == nil {
		err = w.layers(ctx, l)
	}
	if err == nil {
		err = w.blobs(ctx, l)
	}
	return w.done, err
}
