package trial

import (
	"errors"
	"strings"
	"time"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

// remember notes what became yours, what no longer is, and where each exercise
// stopped, for next and hint.
func remember(t *workshop.Tree, rep *Report) error {
	var errs []error
	for i := range rep.Trials {
		tr := &rep.Trials[i]
		switch {
		case tr.Verdict == Passed:
			errs = append(errs, t.Remember(tr.Exercise, tr.src, true))
		// What it stands on failed too: then that is what no longer works.
		case tr.Verdict == Failed && !rep.standsOnFailed(tr.Exercise, map[string]bool{}):
			errs = append(errs, t.Remember(tr.Exercise, tr.src, false))
		}
	}
	errs = append(errs, t.UpdateProgress(func(p *workshop.Progress) {
		for _, tr := range rep.Trials {
			if tr.Verdict == NotWritten || tr.Verdict == StillMarked {
				continue
			}
			a := p.Attempt(tr.Exercise.ID)
			a.When, a.Rungs = time.Now().UTC().Truncate(time.Millisecond), letters(tr.Rungs)
			if tr.Compile != nil { // the rung that was being climbed, and its hints, stay
				a.Message = "does not compile: " + tr.Compile.First
				continue
			}
			a.Test, a.Message = "", ""
			if r := tr.FirstFailed(); r != nil {
				a.Test, a.Message = r.Test, strings.TrimSpace(Trim(r.Output))
			}
		}
	}))
	return errors.Join(errs...)
}

func (r *Report) standsOnFailed(e exercise.Exercise, seen map[string]bool) bool {
	for _, id := range e.Needs {
		if seen[id] {
			continue
		}
		seen[id] = true
		for _, tr := range r.Trials {
			if tr.Exercise.ID == id && (tr.Verdict == Failed || tr.Verdict == Broken) {
				return true
			}
		}
		if need, ok := exercise.Find(id); ok && r.standsOnFailed(need, seen) {
			return true
		}
	}
	return false
}

// FirstFailed returns the first rung that did not pass through a fault of the
// code, nil if there is none.
func (t *Trial) FirstFailed() *Rung {
	for i, r := range t.Rungs {
		if r.Failed() {
			return &t.Rungs[i]
		}
	}
	return nil
}

// Failed is false for a pass and for what the machine cannot do.
func (r *Rung) Failed() bool {
	return r.Outcome != gotest.Pass && !(r.Outcome == gotest.Skip && strings.HasPrefix(r.Why, cannot))
}

func letters(rungs []Rung) string {
	var s strings.Builder
	for _, r := range rungs {
		switch {
		case r.Outcome == gotest.Pass:
			s.WriteByte('p')
		case r.Outcome == NotReached:
			s.WriteByte('-')
		case r.Failed():
			s.WriteByte('f')
		default:
			s.WriteByte('s')
		}
	}
	return s.String()
}
