package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	images "coracle/03-images"
)

// Exercise 3.9: the build itself
//
// All that a build is made of is there: stages and steps (dockerfile.go, plan.go),
// keys (3.8), snapshots (3.5) and layers (3.4). What is left is to put it together.
//
//	stages ─ Needed ─▶ in order; each: base, Plan, then its steps, one after another:
//
//	open ─▶ Key ─▶ Store.Cached ── there ──────────────────────────▶ state + layer
//	                    └─ ErrNotFound ─▶ Prepare ─▶ perform ─▶ CommitLayer ─▶ PutCached
//	                                          └─────── Remove ───────┘
//
// Given, besides the methods of images.Store:
//   - b.stages() resolves the stages; b.base(ctx, stage) is the State that one begins
//     with; it looks in b.built for a stage's parent, and so does open for --from;
//   - b.File.Plan(stage, state, b.epoch()) returns the steps, and the state in which
//     the stage ends but for its layers and its key, which are still the base's;
//   - b.open(ctx, step) finds what a COPY copies, and its checksums; close it;
//   - b.unpack(ctx, state) makes sure that a state's layers can be mounted;
//   - b.temporary() is an id for a snapshot that Collect removes if we cannot;
//   - b.perform(ctx, step, files, snapshot) does the work; changed says whether
//     anything came of it. A step that changed nothing has no layer: the Cached of it
//     is empty, and its entry of the history (Config.History[step.History]) says
//     EmptyLayer;
//   - b.say(step, cached) tells the user, before the work; b.Ran counts what is done;
//   - b.write(ctx, state, tag) writes config and manifest and gives them a name;
//   - b.File.at(line, err) says where in the Dockerfile something went wrong.
//
// Whoever adds to the store holds Share until what was added has a name, or Collect
// takes it away underneath.
//
// Delete this line when you start:

// Needed returns the stages that the target needs, itself among them, in the order
// in which they can be built. The target is a name, whatever its case, or a number;
// "" is the last stage.
//
// Errors: a target that is not there, by name.
func Needed(stages []*Stage, target string) ([]int, error) {
	last := len(stages) - 1
	if n, err := strconv.Atoi(target); err == nil && n >= 0 && n < len(stages) {
		last = n
	} else if target != "" {
		last = slices.IndexFunc(stages, func(st *Stage) bool { return strings.EqualFold(st.Name, target) })
	}
	if last < 0 {
		return nil, fmt.Errorf("no stage is called %s", target)
	}
	needed := map[int]bool{last: true}
	for i := last; i >= 0; i-- { // a stage needs earlier ones only
		if !needed[i] {
			continue
		}
		for _, n := range append(slices.Clone(stages[i].From), stages[i].Parent) {
			if n >= 0 {
				needed[n] = true
			}
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

// Build builds the target, gives it a name (tag, a full one; "" for none), and
// returns its manifest. Stages that the target does not need are not built; a step
// whose key is in the cache is not done, unless b.NoCache; a step that fails is not
// remembered, and no snapshot is left, however a step ends.
//
// Errors: the step's, at its line: "Dockerfile:4: RUN: exit status 2". When ctx
// ends, the reason it gives (context.Cause).
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
		if err := b.refStep(ctx, &state, &steps[i]); err != nil {
			return nil, b.File.at(steps[i].Line, fmt.Errorf("%s: %w", steps[i].Name(), err))
		}
	}
	return &state, nil
}

// refStep takes a step from the cache or makes it, and adds it to the state.
func (b *Builder) refStep(ctx context.Context, at *State, s *Step) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
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
	if err := b.unpack(ctx, at); err != nil {
		return made, err
	}
	sn, err := b.Store.Prepare(ctx, b.temporary(), at.Chain())
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, sn.Remove()) }()
	b.Ran++
	changed, err := b.perform(ctx, s, f, sn)
	if err != nil || !changed {
		return made, err
	}
	made.Layer, made.DiffID, err = b.Store.CommitLayer(ctx, sn.Upper(), images.DiffOptions{Epoch: b.epoch(), Owners: b.Store.Owners()})
	made.Chain = at.Chain(made.DiffID)
	return made, err
}
