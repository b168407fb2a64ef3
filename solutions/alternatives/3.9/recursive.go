// Alternative: the needed stages are found by a walk from the target, and a stage is a run with its own fields.
package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	images "coracle/03-images"
)

func Needed(stages []*Stage, target string) ([]int, error) {
	last, err := targetStage(stages, target)
	if err != nil {
		return nil, err
	}
	marks := make([]bool, len(stages))
	var visit func(n int)
	visit = func(n int) {
		if n < 0 || marks[n] {
			return
		}
		marks[n] = true
		visit(stages[n].Parent)
		for _, m := range stages[n].From {
			visit(m)
		}
	}
	visit(last)
	order := make([]int, 0, len(stages))
	for n, needed := range marks {
		if needed {
			order = append(order, n)
		}
	}
	return order, nil
}

// refRun is the build of one stage.
type refRun struct {
	*Builder
	ctx   context.Context
	state State
}

func (b *Builder) Build(ctx context.Context, tag string) (d images.Descriptor, err error) {
	giveBack, err := b.Store.Share(ctx)
	if err != nil {
		return d, err
	}
	defer giveBack()
	stages, err := b.stages()
	if err != nil {
		return d, err
	}
	order, err := Needed(stages, b.Target)
	if err != nil {
		return d, err
	}
	b.built = make(map[int]*State, len(order))
	var r *refRun
	for _, n := range order {
		r = &refRun{Builder: b, ctx: ctx}
		if err := r.all(stages[n]); err != nil {
			return d, err
		}
		b.built[n] = &r.state
	}
	if err := context.Cause(ctx); err != nil {
		return d, err
	}
	return b.write(ctx, &r.state, tag)
}

func (r *refRun) all(st *Stage) error {
	base, err := r.base(r.ctx, st)
	if err != nil {
		return r.File.at(st.Line, err)
	}
	steps, state, err := r.File.Plan(st, base, r.epoch())
	if err != nil {
		return err
	}
	r.state = state
	for _, s := range steps {
		if err := context.Cause(r.ctx); err != nil {
			return err
		}
		if err := r.one(&s); err != nil {
			return r.File.at(s.Line, fmt.Errorf("%s: %w", s.Name(), err))
		}
	}
	return nil
}

func (r *refRun) one(s *Step) error {
	sources, sums, err := r.open(r.ctx, s)
	if err != nil {
		return err
	}
	defer sources.Close()
	key := Key(r.state.Key, s, sums)
	found, err := r.find(key)
	if err != nil {
		return err
	}
	r.say(s, found != nil)
	if found == nil {
		if found, err = r.do(s, sources); err == nil {
			err = r.Store.PutCached(key, *found)
		}
		if err != nil {
			return err
		}
	}
	r.state.Key = key
	if found.Layer.Size > 0 {
		r.state.Layers = append(r.state.Layers, Layer{Descriptor: found.Layer, DiffID: found.DiffID})
	} else {
		r.state.Config.History[s.History].EmptyLayer = true
	}
	return nil
}

// find returns nil for a step that must be done.
func (r *refRun) find(key digest.Digest) (*images.Cached, error) {
	if r.NoCache {
		return nil, nil
	}
	c, err := r.Store.Cached(key)
	if errors.Is(err, images.ErrNotFound) {
		return nil, nil
	}
	return &c, err
}

func (r *refRun) do(s *Step, sources *files) (*images.Cached, error) {
	sn, err := r.prepare(r.ctx, &r.state)
	if err != nil {
		return nil, err
	}
	var made images.Cached
	changed, err := r.perform(r.ctx, s, sources, sn)
	if err == nil && changed {
		made, err = r.commit(r.ctx, &r.state, sn)
	}
	if e := sn.Remove(); err == nil {
		err = e
	}
	return &made, err
}
