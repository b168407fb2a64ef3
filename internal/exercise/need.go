package exercise

import (
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
)

var (
	mu    sync.Mutex
	tests = map[string]string{} // test name → the exercise it belongs to
)

// In a grader's build, and only there, a file laid over this package fills these
// before any other package is initialised.
var (
	graded = func(testing.TB) {} // a test begins
	ended  = func() {}           // all have run, and none took the process along
)

// Need says which exercises a test stands on, the one it belongs to first. While
// one of them is unwritten the test is skipped, and the skip names it and where
// to read. Every test of an exercise calls it before anything else.
func Need(t testing.TB, ids ...string) {
	t.Helper()
	graded(t)
	for _, id := range ids {
		row, ok := Find(id)
		if !ok {
			t.Fatalf("exercise.Need(%q): no such exercise in internal/exercise", id)
		}
		if !Written(id) {
			t.Skipf("exercise %s (%s) is not written yet: open %s, read %s", id, row.Title, row.File, row.Page())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	tests[t.Name()] = ids[0]
}

// NeedAll is Need for a test of given code: it is skipped while any exercise that
// is linked into the test is unwritten, and belongs to none of them.
func NeedAll(t testing.TB) {
	t.Helper()
	for _, e := range All() {
		if !Written(e.ID) {
			t.Skipf("exercise %s (%s) is not written yet: open %s, read %s", e.ID, e.Title, e.File, e.Page())
		}
	}
}

// Current returns the exercise that a running test belongs to, also for its subtests.
func Current(t testing.TB) (Exercise, bool) {
	mu.Lock()
	defer mu.Unlock()
	for name := t.Name(); name != ""; name = parent(name) {
		if id, ok := tests[name]; ok {
			return Find(id)
		}
	}
	return Exercise{}, false
}

func parent(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return ""
}

// Summary writes the line that ends a chapter's tests, such as
// "0 of 9 written, next: 1.0 (./lab test 1)". ./lab prints a better one and sets
// CORACLE_LAB to silence it.
func Summary(w io.Writer, dir string) {
	ended()
	if os.Getenv("CORACLE_LAB") != "" {
		return
	}
	written, next, total := 0, "", 0
	for _, e := range All() {
		if e.Dir() != dir {
			continue
		}
		total++
		if Written(e.ID) {
			written++
		} else if next == "" {
			next = fmt.Sprintf(", next: %s (./lab test %s)", e.ID, e.ID)
		}
	}
	if total > 0 {
		fmt.Fprintf(w, "%d of %d written%s\n", written, total, next)
	}
}
