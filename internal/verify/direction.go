package verify

import (
	"bytes"
	"context"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// stubs: the pristine stubs compile, vet, and every test passes or is skipped.
func (r *run) stubs(ctx context.Context) error {
	l, err := r.pristine()
	if err != nil {
		return err
	}
	if err := r.vet(ctx, l, "the stubs"); err != nil {
		return err
	}
	return r.whole(ctx, l, "over the stubs", true, "a test of an unwritten exercise begins with exercise.Need")
}

// references: everything passes, and no test is skipped for an exercise.
func (r *run) references(ctx context.Context) error {
	l := r.reference()
	if err := r.vet(ctx, l, "the references"); err != nil {
		return err
	}
	return r.whole(ctx, l, "over the references", false, "")
}

// compiles remembers which packages do not, so that it is said once.
func (r *run) compiles(dir string, judge func(outcome) verdict) func(outcome) verdict {
	return func(o outcome) verdict {
		if o.Build != "" {
			r.broken.Store(dir, true)
		}
		return judge(o)
	}
}

// whole runs every chapter package's tests over one layer.
func (r *run) whole(ctx context.Context, l workshop.Layer, what string, skipsAllowed bool, do string) error {
	var jobs []job
	for _, dir := range r.packages() {
		if r.src.hasTests(dir) {
			jobs = append(jobs, job{dir: dir, where: dir, name: dir, judge: r.compiles(dir, judgePass(what, skipsAllowed, do))})
		}
	}
	return r.do(ctx, l, jobs)
}

// vet runs go vet over chapter packages and a layer.
func (r *run) vet(ctx context.Context, l workshop.Layer, what string) error {
	return r.vetDirs(ctx, r.packages(), l, what)
}

func (r *run) vetDirs(ctx context.Context, dirs []string, l workshop.Layer, what string) error {
	parts := []string{"vet"}
	for _, d := range dirs {
		parts = append(parts, r.src.key(d, l))
	}
	key, done := digest(parts...), false
	if len(dirs) == 0 || r.keep.get(key, &done) {
		r.report.pass(min(1, len(dirs)))
		return nil
	}
	overlay, err := r.Tree.Write(l)
	if err != nil {
		return err
	}
	args := []string{"vet"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	for _, d := range dirs {
		args = append(args, "./"+d)
	}
	if out, err := goToolContext(ctx, r.Tree.Root, args...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.report.fail("", "", "%s: go vet: %s", what, brief(out))
		return nil
	}
	r.keep.put(key, true)
	r.report.pass(1)
	return nil
}

// combinations: each exercise alone from the reference, and all but that one.
func (r *run) combinations(ctx context.Context) error {
	stubs, err := r.pristine()
	if err != nil {
		return err
	}
	for _, e := range r.exercises() {
		if _, broken := r.broken.Load(e.Dir()); broken {
			continue
		}
		one := stubs.With(r.Tree.Reference(e))
		but := r.reference()
		if stub, ok := stubs[e.File]; ok {
			but[e.File] = stub
		}
		for what, l := range map[string]workshop.Layer{"only " + e.ID + " from the reference": one, "all but " + e.ID + " from the reference": but} {
			if err := r.vetDirs(ctx, []string{e.Dir()}, l, what); err != nil {
				return err
			}
		}
	}
	return nil
}

// marks: a stub without its mark, all else borrowed, is a clear first red.
func (r *run) marks(ctx context.Context) error {
	var jobs []job
	for _, e := range r.exercises() {
		stub, err := r.stub(e)
		if err != nil || len(e.Rungs) == 0 {
			continue // structure has said so
		}
		file, err := r.Tree.Keep(unmark(stub, e.ID))
		if err != nil {
			return err
		}
		funcs, _ := unwritten(stub)
		jobs = append(jobs, job{e: e, dir: e.Dir(), over: workshop.Layer{e.File: file}, tests: rungs(e),
			where: e.File, name: "mark of " + e.ID, judge: judgeMark(e.ID, funcs)})
	}
	return r.do(ctx, r.reference(), jobs)
}

// unmark removes the mark's line and nothing else.
func unmark(src []byte, id string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(string(src)) {
		if !workshop.HasMark([]byte(line), id) {
			out.WriteString(line)
		}
	}
	return out.Bytes()
}

func rungs(e exercise.Exercise) []string {
	var ts []string
	for _, r := range e.Rungs {
		ts = append(ts, r.Test)
	}
	return ts
}

// mistakes: each is refused with its own phrase and no other's; which tests it
// fails is what ./lab test diagnoses by.
func (r *run) mistakes(ctx context.Context) error {
	var jobs []job
	seen := newDiagnosis()
	for _, e := range r.exercises() {
		vs, err := r.variants(e, "mistakes", "Mistake")
		if err != nil {
			return err
		}
		for _, v := range vs {
			var others []string
			for _, o := range vs {
				if o.name != v.name && o.says != "" {
					others = append(others, o.says)
				}
			}
			jobs = append(jobs, job{e: e, dir: e.Dir(), over: workshop.Layer{e.File: r.Tree.Path(v.file)}, tests: rungs(e),
				where: v.file, name: e.ID + "/" + v.name,
				judge: judgeMistake(e.ID+"/"+v.name, v.says, others, func(fails []string, partly bool) { seen.add(v, fails, partly) })})
		}
	}
	if err := r.do(ctx, r.reference(), jobs); err != nil {
		return err
	}
	return r.diagnosis(seen)
}

// alternatives: correct, differently built solutions pass.
func (r *run) alternatives(ctx context.Context) error {
	var jobs []job
	for _, e := range r.exercises() {
		vs, err := r.variants(e, "alternatives", "Alternative")
		if err != nil {
			return err
		}
		for _, v := range vs {
			pass := judgePass("a correct solution is refused", false, "the tests ask for more than the stub says")
			jobs = append(jobs, job{e: e, dir: e.Dir(), over: workshop.Layer{e.File: r.Tree.Path(v.file)}, tests: rungs(e),
				where: v.file, name: e.ID + "/" + v.name,
				judge: func(o outcome) verdict {
					res := pass(o)
					switch {
					case res.passed > 0 && res.fail == "": // what a rung lacks here is said with the references
						return verdict{passed: 1}
					case res.fail == "" && len(res.skips) > 0:
						return verdict{skips: []skipped{{"alternative " + e.ID + "/" + v.name, res.skips[0].why}}}
					}
					res.passed = 0
					return res
				}})
		}
	}
	return r.do(ctx, r.reference(), jobs)
}
