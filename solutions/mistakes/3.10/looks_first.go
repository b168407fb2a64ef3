// Mistake: what is in use is looked for before the lock is held: what gets its name meanwhile is swept
package images

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
)

func Mark(roots []Descriptor, children func(Descriptor) ([]Descriptor, error)) (map[digest.Digest]bool, error) {
	marked := map[digest.Digest]bool{}
	for todo := append([]Descriptor{}, roots...); len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if marked[d.Digest] {
			continue
		}
		marked[d.Digest] = true
		more, err := children(d)
		if err != nil {
			return nil, fmt.Errorf("what %s refers to: %w", d.Digest, err)
		}
		todo = append(todo, more...)
	}
	return marked, nil
}

func (s *Store) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	used, err := s.refLive(o)
	if err != nil {
		return Collected{}, fmt.Errorf("collect: %w", err)
	}
	unlock, err := s.Alone(ctx)
	if err != nil {
		return Collected{}, err
	}
	defer unlock()
	w := sweeper{store: s, o: o}
	for _, sweep := range []func(context.Context, live) error{w.steps, w.partial, w.layers, w.blobs} {
		if err := sweep(ctx, used); err != nil {
			return w.done, fmt.Errorf("collect: %w", err)
		}
	}
	return w.done, nil
}

func (s *Store) refLive(o CollectOptions) (live, error) {
	l := live{layers: map[digest.Digest]bool{}, steps: map[string]bool{}}
	roots, err := s.Tags()
	if err != nil {
		return l, err
	}
	steps, err := s.keptSteps(o.Steps)
	if err != nil {
		return l, err
	}
	for file, step := range steps {
		l.steps[file] = true
		roots = append(roots, step.Layer)
		l.addLayers(s, step.Chain)
	}
	snapshots, err := s.Snapshots()
	if err != nil {
		return l, err
	}
	for _, sn := range snapshots {
		if !sn.Temporary() {
			l.addLayers(s, sn.Parent)
		}
	}
	l.blobs, err = Mark(roots, s.children(l))
	return l, err
}
