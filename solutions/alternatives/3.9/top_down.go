// Alternative: the needed stages are collected from the target down, and turned round; the key becomes the state's once the step is done.
package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	images "coracle/03-images"
)

func Needed(stages []*Stage, target string) ([]int, error) {
	last, err := targetStage(stages, target)
	if err != nil {
		return nil, err
	}
	wanted := map[int]bool{last: true}
	var list []int
	for n := last; n >= 0; n-- { // what a stage needs stands before it
		if !wanted[n] {
			continue
		}
		list = append(list, n)
		wanted[stages[n].Parent] = true // -1 is never asked for
		for _, from := range stages[n].From {
			wanted[from] = true
		}
	}
	slices.Reverse(list)
	return list, nil
}

func (b *Builder) Build(ctx context.Context, tag string) (images.Descriptor, error) {
	unlock, err := b.Store.Share(ctx)
	if err != nil {
		return images.Descriptor{}, err
	}
	defer unlock()
	stages, err := b.stages()
	if err != nil {
		return images.Descriptor{}, err
	}
	needed, err := Needed(stages, b.Target)
	if err != nil {
		return images.Descriptor{}, err
	}
	b.built = map[int]*State{}
	var state *State
	for _, n := range needed {
		if state, err = b.refStage(ctx, stages[n]); err != nil {
			return images.Descriptor{}, err
		}
		b.built[n] = state
	}
	if ctx.Err() != nil {
		return images.Descriptor{}, context.Cause(ctx)
	}
	return b.write(ctx, state, tag)
}

// refStage returns the state in which a stage ends.
func (b *Builder) refStage(ctx context.Context, st *Stage) (*State, error) {
	base, err := b.base(ctx, st)
	if err != nil {
		return nil, b.File.at(st.Line, err)
	}
	steps, state, err := b.File.Plan(st, base, b.epoch())
	if err != nil {
		return nil, err
	}
	state.Layers = slices.Clone(state.Layers) // the base's are other stages' too
	for i := range steps {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s := &steps[i]
		if err := b.refStep(ctx, s, &state); err != nil {
			return nil, b.File.at(s.Line, fmt.Errorf("%s: %w", s.Name(), err))
		}
	}
	return &state, nil
}

// refStep brings the state one step further: by the cache or by work.
func (b *Builder) refStep(ctx context.Context, s *Step, state *State) error {
	files, contents, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer files.Close()
	key := Key(state.Key, s, contents)
	made, err := images.Cached{}, images.ErrNotFound
	if !b.NoCache {
		made, err = b.Store.Cached(key)
	}
	if err != nil && !errors.Is(err, images.ErrNotFound) {
		return err
	}
	cached := err == nil
	b.say(s, cached)
	if !cached {
		if made, err = b.refWork(ctx, s, files, state); err != nil {
			return err
		}
		if err := b.Store.PutCached(key, made); err != nil {
			return err
		}
	}
	state.Key = key
	if made.Layer.Digest == "" {
		state.Config.History[s.History].EmptyLayer = true
	} else {
		state.Layers = append(state.Layers, Layer{made.Layer, made.DiffID})
	}
	return nil
}

// refWork does a step on a snapshot, and returns what is to be remembered.
func (b *Builder) refWork(ctx context.Context, s *Step, f *files, state *State) (made images.Cached, err error) {
	sn, err := b.prepare(ctx, state)
	if err != nil {
		return made, err
	}
	defer func() {
		if e := sn.Remove(); err == nil {
			err = e
		}
	}()
	changed, err := b.perform(ctx, s, f, sn)
	if err != nil || !changed {
		return images.Cached{}, err
	}
	return b.commit(ctx, state, sn)
}
