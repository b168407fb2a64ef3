package verify

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// A Workshop is what is verified.
type Workshop struct {
	Tree      *workshop.Tree
	Exercises []exercise.Exercise
	Chapters  []exercise.Chapter
}

// Ours is the workshop of this module in a checkout.
func Ours(t *workshop.Tree) Workshop {
	return Workshop{t, exercise.All(), exercise.Chapters()}
}

// Options narrow a verification.
type Options struct {
	Chapter  int           // 0: all, and the packages that belong to no chapter
	Exercise string        // one exercise of that chapter, "3.4", and its package; "": all
	Fresh    bool          // take no kept result
	Strict   bool          // what this machine cannot check is a failure
	Only     []string      // classes of checks; nil: all
	Update   bool          // write solutions/mistakes.json from what was seen
	Workers  int           // 0: as many as CPUs
	Timeout  time.Duration // of one test binary; 0: a minute and a half, far above the tests' own deadlines
	Out      io.Writer     // nil: nothing is printed
}

type run struct {
	Workshop
	o       Options
	src     *sources
	keep    *store
	tmp     string // binaries of this run
	report  *Report
	kinship map[string]map[string]bool
	broken  sync.Map // packages that do not even compile over the references
}

// Run verifies and reports; an error means that it could not be done.
func Run(ctx context.Context, w Workshop, o Options) (*Report, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Workers == 0 {
		o.Workers = runtime.NumCPU()
	}
	if o.Timeout == 0 {
		o.Timeout = 90 * time.Second
	}
	r := &run{Workshop: w, o: o, report: &Report{out: o.Out}}
	if o.Chapter != 0 && len(r.chapters()) == 0 {
		return nil, fmt.Errorf("no chapter %d", o.Chapter)
	}
	var err error
	if r.src, err = readSources(w.Tree.Root); err != nil {
		return nil, err
	}
	if r.keep, err = openStore(w.Tree, o.Fresh); err != nil {
		return nil, err
	}
	if r.tmp, err = os.MkdirTemp(w.Tree.Path(".lab/cache"), "verify-bin-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.tmp)
	for _, c := range []struct {
		name  string
		check func(context.Context) error
	}{
		{"structure", r.structure},
		{"sources", r.formatted},
		{"imports", r.imports},
		{"stubs", r.stubs},
		{"references", r.references},
		{"combinations", r.combinations},
		{"marks", r.marks},
		{"mistakes", r.mistakes},
		{"alternatives", r.alternatives},
		{"fuzz", r.fuzz},
		{"yours", r.yours},
		{"given", r.given},
	} {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(o.Only) > 0 && !slices.Contains(o.Only, c.name) {
			continue
		}
		r.report.begin(c.name)
		if err := c.check(ctx); err != nil {
			return nil, fmt.Errorf("verify %s: %w", c.name, err)
		}
		r.report.end()
	}
	r.report.close()
	return r.report, ctx.Err()
}

// chapters are those that this run looks at.
func (r *run) chapters() []exercise.Chapter {
	var cs []exercise.Chapter
	for _, c := range r.Chapters {
		if r.o.Chapter == 0 || r.o.Chapter == c.N {
			cs = append(cs, c)
		}
	}
	return cs
}

// exercises are those of the chapters that this run looks at.
func (r *run) exercises() []exercise.Exercise {
	var es []exercise.Exercise
	for _, e := range r.Exercises {
		if (r.o.Chapter == 0 || r.o.Chapter == e.Chapter()) && (r.o.Exercise == "" || r.o.Exercise == e.ID) {
			es = append(es, e)
		}
	}
	return es
}

// packages are the chapter packages of this run.
func (r *run) packages() []string {
	var dirs []string
	if e, ok := r.find(r.o.Exercise); ok {
		return []string{e.Dir()}
	}
	for _, dir := range r.src.dirs() {
		if n := r.chapterOf(dir); n != 0 && (r.o.Chapter == 0 || n == r.o.Chapter) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (r *run) reference() workshop.Layer { return r.Tree.Reference(r.Exercises...) }

// pristine is workshop.Pristine over this workshop's table.
func (r *run) pristine() (workshop.Layer, error) {
	l := workshop.Layer{}
	for _, e := range r.Exercises {
		stub, err := r.stub(e)
		if err != nil {
			continue // structure has said so
		}
		if l[e.File], err = r.Tree.Keep(stub); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// stub is the archived one, and before that is made the marked file itself.
func (r *run) stub(e exercise.Exercise) ([]byte, error) {
	stub, err := r.Tree.Stub(e)
	if err != nil {
		if src, err := os.ReadFile(r.Tree.Path(e.File)); err == nil && workshop.HasMark(src, e.ID) {
			return src, nil
		}
	}
	return stub, err
}
