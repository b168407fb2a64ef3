// Alternative: names, steps and snapshots are all read before the first is noted.
package images

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
)

func Mark(roots []Descriptor, children func(Descriptor) ([]Descriptor, error)) (map[digest.Digest]bool, error) {
	marked := map[digest.Digest]bool{}
	for ahead := slices.Clone(roots); len(ahead) > 0; {
		d := ahead[len(ahead)-1]
		ahead = ahead[:len(ahead)-1]
		if marked[d.Digest] {
			continue
		}
		marked[d.Digest] = true
		below, err := children(d)
		if err != nil {
			return nil, fmt.Errorf("mark %s: %w", d.Digest, err)
		}
		ahead = append(ahead, below...)
	}
	return marked, nil
}

func (s *Store) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	unlock, err := s.Alone(ctx)
	if err != nil {
		return Collected{}, err
	}
	defer unlock()
	l, err := s.refInUse(o)
	if err != nil {
		return Collected{}, fmt.Errorf("collect: %w", err)
	}
	w := sweeper{store: s, o: o}
	for _, sweep := range []func(context.Context, live) error{w.steps, w.partial, w.layers, w.blobs} {
		if err := sweep(ctx, l); err != nil {
			return w.done, fmt.Errorf("collect: %w", err)
		}
	}
	return w.done, nil
}

func (s *Store) refInUse(o CollectOptions) (live, error) {
	l := live{layers: map[digest.Digest]bool{}, steps: map[string]bool{}}
	roots, err := s.Tags()
	if err != nil {
		return l, err
	}
	steps, err := s.keptSteps(o.Steps)
	if err != nil {
		return l, err
	}
	snapshots, err := s.Snapshots()
	if err != nil {
		return l, err
	}
	for name, step := range steps {
		l.steps[name] = true
		l.addLayers(s, step.Chain)
		if step.Layer.Digest != "" {
			roots = append(roots, step.Layer)
		}
	}
	for _, sn := range snapshots {
		if !sn.Temporary() {
			l.addLayers(s, sn.Parent)
		}
	}
	l.blobs, err = Mark(roots, s.children(l))
	return l, err
}
