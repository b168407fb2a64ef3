package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Finding is one check that did not pass.
type Finding struct {
	Class string // "mistakes"
	What  string // "1.3/forgot_private survives: all 4 tests passed"
	Where string // "solutions/mistakes/1.3/forgot_private.go"
	Why   string // of what is skipped: "machine cannot: …"
	Do    string // "make a test of 01-namespaces/pivot_test.go fail with …"
}

func (f Finding) String() string {
	s := f.What
	if f.Where != "" {
		s = f.Where + ": " + s
	}
	if f.Why != "" {
		s += ": " + f.Why
	}
	if f.Do != "" {
		s += "; " + f.Do
	}
	return s
}

// A Report is what came of a verification.
type Report struct {
	Passed  int
	Failed  []Finding
	Skipped []Finding // what this machine cannot check
	Notes   []Finding // worth a look, no failure
	Built   int       // how many test binaries; 0 where every result was kept

	mu     sync.Mutex
	out    io.Writer
	class  string
	passed int // before this class
	start  time.Time
}

func (r *Report) begin(class string) { r.class, r.passed, r.start = class, r.Passed, time.Now() }

func (r *Report) end() {
	count := func(fs []Finding) (n int) {
		for _, f := range fs {
			if f.Class == r.class {
				n++
			}
		}
		return n
	}
	r.tellSkipped()
	word := "ok"
	failed, skipped := count(r.Failed), count(r.Skipped)
	if failed > 0 {
		word = "FAILED"
	}
	fmt.Fprintf(r.out, "%-13s %4d passed, %d failed, %d skipped  %5.1fs  %s\n",
		r.class, r.Passed-r.passed, failed, skipped, time.Since(r.start).Seconds(), word)
}

func (r *Report) pass(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Passed += n
}

func (r *Report) built() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Built++
}

func (r *Report) fail(where, do, what string, args ...any) {
	r.add(&r.Failed, "FAIL", where, do, what, args)
}

func (r *Report) skip(where string, s skipped) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Skipped = append(r.Skipped, Finding{Class: r.class, What: s.what, Why: s.why, Where: where})
}

// tellSkipped names what a class skipped, one line a reason.
func (r *Report) tellSkipped() {
	var reasons []string
	what := map[string][]string{}
	for _, f := range r.Skipped {
		if f.Class != r.class {
			continue
		}
		if what[f.Why] == nil {
			reasons = append(reasons, f.Why)
		}
		what[f.Why] = append(what[f.Why], f.What)
	}
	for _, why := range reasons {
		slices.Sort(what[why])
		fmt.Fprintf(r.out, "skip %s: %s: %s\n", r.class, strings.Join(what[why], ", "), why)
	}
}

func (r *Report) note(where, do, what string, args ...any) {
	r.add(&r.Notes, "note", where, do, what, args)
}

func (r *Report) add(to *[]Finding, word, where, do, what string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(args) > 0 {
		what = fmt.Sprintf(what, args...)
	}
	f := Finding{Class: r.class, What: what, Where: where, Do: do}
	*to = append(*to, f)
	fmt.Fprintf(r.out, "%s %s: %s\n", word, r.class, f)
}

// close prints the line that scripts read.
func (r *Report) close() {
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.Passed, len(r.Failed), len(r.Skipped))
}
