package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

// A job is one package over one layer and some of its tests.
type job struct {
	e     exercise.Exercise // zero for a whole package
	dir   string
	over  workshop.Layer // what it lays over base
	tests []string       // nil: all
	where string         // the file that is checked
	name  string         // "1.3/forgot_private"
	// judge says what came of it. It must not keep r: it may be asked twice.
	judge func(o outcome) verdict
	extra string // more for the key, where the package's sources do not say all
}

// An outcome is what came of a job: a build error, or a run.
type outcome struct {
	Build string
	Run   *gotest.Result
}

// skipped is a check that this machine cannot make.
type skipped struct{ what, why string }

type verdict struct {
	passed     int
	fail, do   string // a problem, and what to do
	skips      []skipped
	notes      []string
	unexpected bool // worth another try alone
}

// do runs jobs over a base layer: the kept results first, then batches of jobs
// that may share a build, each job's tests by themselves.
func (r *run) do(ctx context.Context, base workshop.Layer, jobs []job) error {
	var left []job
	for _, j := range jobs {
		if _, broken := r.broken.Load(j.dir); broken && j.e.ID != "" {
			continue // said once, with the references
		}
		var o outcome
		var bin string
		if r.keep.get(r.sourceKey(base, j), &bin) && r.keep.get(r.runKey(bin, j), &o) {
			if v := j.judge(o); !v.unexpected {
				r.tell(j, v)
				continue
			}
		}
		left = append(left, j)
	}
	batches := r.batches(left)
	errs := make([]error, len(batches))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(r.o.Workers, len(batches)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = r.batch(ctx, base, batches[i])
			}
		})
	}
	for i := range batches {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

func (r *run) batch(ctx context.Context, base workshop.Layer, jobs []job) error {
	again, err := r.attempt(ctx, base, jobs, len(jobs) > 1)
	for _, j := range again {
		if err != nil || ctx.Err() != nil {
			break
		}
		_, err = r.attempt(ctx, base, []job{j}, false)
	}
	return errors.Join(err, ctx.Err())
}

// attempt builds jobs together and runs each. If retry, jobs that came out
// unexpectedly are returned instead of reported.
func (r *run) attempt(ctx context.Context, base workshop.Layer, jobs []job, retry bool) (again []job, err error) {
	layer := base
	for _, j := range jobs {
		layer = layer.With(j.over)
	}
	dir := jobs[0].dir
	overlay, err := r.Tree.Write(layer)
	if err != nil {
		return nil, err
	}
	r.report.built()
	out, err := os.MkdirTemp(r.tmp, "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	bin := filepath.Join(out, filepath.Base(dir)+".test")
	err = gotest.Build(ctx, r.Tree.Root, dir, overlay, bin)
	if build := new(gotest.BuildError); errors.As(err, &build) {
		if retry {
			return jobs, nil
		}
		for _, j := range jobs {
			r.tell(j, j.judge(outcome{Build: build.Output}))
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hash, err := fileHash(bin)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		o, v, err := r.try(ctx, bin, hash, j)
		if err == nil && v.unexpected && !retry {
			// Once more: the machine may have been busy.
			if o2, v2, err := r.try(ctx, bin, hash, j); err == nil && !v2.unexpected {
				v2.notes = append(v2.notes, fmt.Sprintf("%s came out as expected only at the second try; first: %s", j.name, v.fail))
				o, v = o2, v2
			}
		}
		if err != nil {
			return nil, err
		}
		if v.unexpected && retry {
			again = append(again, j)
			continue
		}
		if !v.unexpected {
			r.keep.put(r.runKey(hash, j), o)
			r.keep.put(r.sourceKey(base, j), hash)
		}
		r.tell(j, v)
	}
	return again, nil
}

func (r *run) try(ctx context.Context, bin, hash string, j job) (o outcome, v verdict, err error) {
	if r.keep.get(r.runKey(hash, j), &o) {
		if v = j.judge(o); !v.unexpected {
			return o, v, nil
		}
	}
	o.Build = ""
	o.Run, err = gotest.Run(ctx, bin, r.Tree.Path(j.dir), gotest.Options{Run: j.tests, Timeout: r.o.Timeout})
	if err != nil {
		return o, v, err
	}
	return o, j.judge(o), nil
}

func (r *run) sourceKey(base workshop.Layer, j job) string {
	return digest("source", r.src.key(j.dir, base.With(j.over)), strings.Join(j.tests, "|"), r.keep.machine, j.extra)
}

func (r *run) runKey(bin string, j job) string {
	return digest("run", bin, strings.Join(j.tests, "|"), r.keep.machine, j.extra)
}

func (r *run) tell(j job, v verdict) {
	r.report.pass(v.passed)
	for _, n := range v.notes {
		r.report.note(j.where, "", n)
	}
	for _, s := range v.skips {
		if r.o.Strict {
			r.report.fail(j.where, "run it on a machine that can", "%s: %s", s.what, s.why)
		} else {
			r.report.skip(j.where, s)
		}
	}
	if v.fail != "" {
		r.report.fail(j.where, v.do, v.fail)
	}
}
