package trial

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

// Options say what to try.
type Options struct {
	Exercises []exercise.Exercise // all of one folder
	Mine      []string            // further exercises to take from the reader, whatever their state
	Note      func(string)        // hears what takes time; may be nil
	Run       Runner              // nil: on this machine
	limit     time.Duration       // of a run, at least; 0: a minute, for a machine that may be emulated
}

// A Runner runs a test binary built for dir, a slash path below the root.
type Runner func(ctx context.Context, bin, dir string, o gotest.Options) (*gotest.Result, error)

// Verdict is what became of an exercise.
type Verdict string

const (
	NotWritten  Verdict = "not written"
	StillMarked Verdict = "edited, but still marked"
	Broken      Verdict = "does not compile"
	Failed      Verdict = "failed"
	Passed      Verdict = "passed"
	Cannot      Verdict = "not all seen: this machine cannot" // nothing failed, and some rungs could not be tried
)

// A Trial is one exercise's part in a report.
type Trial struct {
	Exercise exercise.Exercise
	Verdict  Verdict
	Rungs    []Rung
	Compile  *CompileError // of Broken
	Looks    string        // the known mistake that the failure looks like
	New      bool          // passed, and was not yours before
	src      []byte
}

// A Rung is one test's part in it.
type Rung struct {
	exercise.Rung
	Name    string // "1.2a"
	Outcome gotest.Outcome
	Why     string // of a skip: what the machine lacks
	Hangs   bool   // the time limit ended the process while it ran
	Output  string // rewritten for the reader
	Elapsed time.Duration
}

// NotReached is the outcome of a rung that never began.
const NotReached gotest.Outcome = "not reached"

// A Report is what one folder's tests said.
type Report struct {
	Dir      string
	Trials   []Trial
	Borrowed []exercise.Exercise // of this chapter and those before
	Compile  *CompileError       // of a file that is no exercise; nothing was run then
	Rest     string              // output of no test
	Build    time.Duration
	Tests    time.Duration
}

// OK says whether nothing that is written failed.
func (r *Report) OK() bool {
	if r.Compile != nil {
		return false
	}
	return !slices.ContainsFunc(r.Trials, func(t Trial) bool { return t.Verdict == Failed || t.Verdict == Broken })
}

// First returns the first exercise that needs work, nil if there is none.
func (r *Report) First() *Trial {
	for i, t := range r.Trials {
		if t.Verdict == Failed || t.Verdict == Broken {
			return &r.Trials[i]
		}
	}
	return nil
}

// Run tries the exercises and remembers what passed.
func Run(ctx context.Context, t *workshop.Tree, o Options) (*Report, error) {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.Run == nil {
		o.limit = 30 * time.Second
		o.Run = func(ctx context.Context, bin, dir string, g gotest.Options) (*gotest.Result, error) {
			return gotest.Run(ctx, bin, t.Path(dir), g)
		}
	}
	rep := &Report{Dir: o.Exercises[0].Dir()}
	for _, e := range o.Exercises {
		state, err := t.State(e)
		if err != nil && state == workshop.Unwritten {
			return nil, err
		}
		v := map[workshop.State]Verdict{workshop.Unwritten: NotWritten, workshop.Marked: StillMarked}[state]
		rep.Trials = append(rep.Trials, Trial{Exercise: e, Verdict: v, New: state != workshop.Yours})
	}
	if !slices.ContainsFunc(rep.Trials, open) {
		return rep, nil
	}
	bin, layer, err := build(ctx, t, rep, o)
	if err != nil || rep.Compile != nil {
		return rep, err
	}
	if bin == "" { // nothing compiles: that is what next shows
		return rep, remember(t, rep)
	}
	if err := runAll(ctx, t, rep, o, bin, layer); err != nil {
		return rep, err
	}
	return rep, remember(t, rep)
}

// open: its tests are still to be run.
func open(t Trial) bool { return t.Verdict == "" }

// runAll runs the rungs of every open exercise; what a crash kept from running
// is run again without the test that crashed. Waiting for a test that hangs
// takes long, so an exercise is given up with its first one.
func runAll(ctx context.Context, t *workshop.Tree, rep *Report, o Options, bin string, layer workshop.Layer) error {
	start := time.Now()
	defer func() { rep.Tests = time.Since(start) }()
	var todo []string
	for i := range rep.Trials {
		if tr := &rep.Trials[i]; open(*tr) {
			for _, r := range tr.Exercise.Rungs {
				todo = append(todo, r.Test)
				tr.Rungs = append(tr.Rungs, Rung{Rung: r, Name: tr.Exercise.ID + tr.Exercise.RungLetter(r.Test), Outcome: NotReached})
			}
		}
	}
	rewrite := rewriter(t, layer)
	for len(todo) > 0 {
		o.Note("running the tests of " + rep.Dir)
		// Each test has its own deadline of seconds; this ends what has none.
		limit := max(cmp.Or(o.limit, time.Minute), time.Duration(len(todo))*10*time.Second)
		res, err := o.Run(ctx, bin, rep.Dir, gotest.Options{Run: todo, Timeout: limit})
		if err != nil {
			return err
		}
		rep.Rest = rewrite(res.Rest)
		before := len(todo)
		for _, test := range res.Tests {
			hangs := test.Outcome == gotest.Unended && strings.Contains(test.Output, "panic: test timed out after ")
			todo = slices.DeleteFunc(todo, func(name string) bool { return name == test.Name || hangs && rep.sameExercise(name, test.Name) })
			rep.take(test, hangs, rewrite)
		}
		if len(todo) == before || res.Exit == 0 {
			break
		}
	}
	for i := range rep.Trials {
		if tr := &rep.Trials[i]; open(*tr) {
			tr.judge()
			if tr.Verdict == Failed {
				tr.Looks = diagnose(t, tr)
			}
		}
	}
	return nil
}

func (r *Report) sameExercise(test, other string) bool {
	for _, t := range r.Trials {
		if t.Exercise.RungLetter(test) != "" && t.Exercise.RungLetter(other) != "" {
			return true
		}
	}
	return false
}

func (r *Report) take(test gotest.Test, hangs bool, rewrite func(string) string) {
	for i := range r.Trials {
		for j := range r.Trials[i].Rungs {
			rung := &r.Trials[i].Rungs[j]
			if rung.Test != test.Name {
				continue
			}
			rung.Outcome, rung.Hangs, rung.Elapsed, rung.Output = test.Outcome, hangs, test.Elapsed, rewrite(test.Output)
			if test.Outcome == gotest.Skip {
				_, rung.Why, _ = strings.Cut(test.Output, ": ") // after file:line
				rung.Why = strings.TrimSpace(rung.Why)
			}
		}
	}
}

// cannot begins a skip that is the machine's fault; it is sandbox.Cannot, without
// linking a package that only Linux has.
const cannot = "machine cannot: "

// judge sums up the rungs. A rung that the machine cannot do is nobody's
// failure, but it was not seen to pass either: what is not all green is not yours.
func (t *Trial) judge() {
	t.Verdict = Passed
	for _, r := range t.Rungs {
		switch {
		case r.Outcome == gotest.Pass:
		case r.Outcome == gotest.Skip && strings.HasPrefix(r.Why, cannot):
			t.Verdict = Cannot
		default:
			t.Verdict = Failed
			return
		}
	}
}
