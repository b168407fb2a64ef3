// Mistake: a stage needs the one that it begins with, not only those that it copies from
package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	images "coracle/03-images"
)

// Needed returns the stages that the target needs, in the order in which they can be built.
func Needed(stages []*Stage, target string) ([]int, error) {
	last, err := targetStage(stages, target)
	if err != nil {
		return nil, err
	}
	needed := map[int]bool{last: true}
	for i := last; i >= 0; i-- { // a stage needs earlier ones only
		if !needed[i] {
			continue
		}
		for _, n := range stages[i].From {
			needed[n] = true
		}
	}
	var order []int
	for i := range stages {
		if needed[i] {
			order = append(order, i)
		}
	}
	return order, nil
}

// Build builds the target, gives it a name and returns its manifest.
func (b *Builder) Build(ctx context.Context, tag string) (images.Descriptor, error) {
	unlock, err := b.Store.Share(ctx) // until what is made has its name
	if err != nil {
		return images.Descriptor{}, err
	}
	defer unlock()
	stages, err := b.stages()
	if err != nil {
		return images.Descriptor{}, err
	}
	order, err := Needed(stages, b.Target)
	if err != nil {
		return images.Descriptor{}, err
	}
	b.built = map[int]*State{}
	var last *State
	for _, i := range order {
		if last, err = b.refStage(ctx, stages[i]); err != nil {
			return images.Descriptor{}, err
		}
		b.built[i] = last
	}
	if ctx.Err() != nil {
		return images.Descriptor{}, context.Cause(ctx)
	}
	return b.write(ctx, last, tag)
}

func (b *Builder) refStage(ctx context.Context, st *Stage) (*State, error) {
	from, err := b.base(ctx, st)
	if err != nil {
		return nil, b.File.at(st.Line, err)
	}
	steps, state, err := b.File.Plan(st, from, b.epoch())
	if err != nil {
		return nil, err
	}
	for i := range steps {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := b.refStep(ctx, &state, &steps[i]); err != nil {
			return nil, b.File.at(steps[i].Line, fmt.Errorf("%s: %w", steps[i].Name(), err))
		}
	}
	return &state, nil
}

// refStep takes a step from the cache or makes it, and adds it to the state.
func (b *Builder) refStep(ctx context.Context, at *State, s *Step) error {
	files, contents, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer files.Close()
	at.Key = Key(at.Key, s, contents)
	made, err := b.Store.Cached(at.Key)
	cached := err == nil && !b.NoCache
	if err != nil && !errors.Is(err, images.ErrNotFound) {
		return err
	}
	b.say(s, cached)
	if !cached {
		if made, err = b.refMake(ctx, at, s, files); err != nil {
			return err
		}
		if err := b.Store.PutCached(at.Key, made); err != nil {
			return err
		}
	}
	if made.Layer.Digest == "" {
		at.Config.History[s.History].EmptyLayer = true
		return nil
	}
	at.Layers = append(at.Layers, Layer{made.Layer, made.DiffID})
	return nil
}

// refMake carries a step out on a snapshot of what is there so far.
func (b *Builder) refMake(ctx context.Context, at *State, s *Step, f *files) (made images.Cached, err error) {
	sn, err := b.prepare(ctx, at)
	if err != nil {
		return made, err
	}
	defer func() { err = cmp.Or(err, sn.Remove()) }()
	changed, err := b.perform(ctx, s, f, sn)
	if err != nil || !changed {
		return made, err
	}
	return b.commit(ctx, at, sn)
}
