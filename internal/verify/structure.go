package verify

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// structure checks the table against the files, without building anything.
func (r *run) structure(context.Context) error {
	r.order()
	for _, e := range r.exercises() {
		before := len(r.report.Failed)
		r.row(e)
		r.rungs(e)
		r.hints(e)
		r.files(e)
		if len(r.report.Failed) == before {
			r.report.pass(1)
		}
	}
	if r.o.Exercise != "" {
		return nil
	}
	if err := r.orphans(); err != nil {
		return err
	}
	return r.generated()
}

// order: ids are unique and rising, needs exist and form no cycle.
func (r *run) order() {
	seen := map[string]bool{}
	for i, e := range r.Exercises {
		if seen[e.ID] {
			r.report.fail("", "give each a number of its own", "exercise %s is in the table twice", e.ID)
		}
		seen[e.ID] = true
		if i > 0 && !less(r.Exercises[i-1].ID, e.ID) {
			r.report.fail("", "keep the table in the order of the book", "exercise %s stands after %s", e.ID, r.Exercises[i-1].ID)
		}
	}
	state := map[string]int{} // 1: on the path, 2: done
	var visit func(id string)
	visit = func(id string) {
		state[id] = 1
		e, _ := r.find(id)
		for _, n := range e.Needs {
			if _, ok := r.find(n); !ok {
				r.report.fail("", "correct its row", "exercise %s needs %s, which is no exercise", id, n)
			} else if state[n] == 1 {
				r.report.fail("", "correct their rows", "exercises %s and %s need each other", n, id)
			} else if state[n] == 0 {
				visit(n)
			}
		}
		state[id] = 2
	}
	for _, e := range r.Exercises {
		if state[e.ID] == 0 {
			visit(e.ID)
		}
	}
}

// less compares "1.9" and "1.10" by number.
func less(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return len(x[i]) < len(y[i]) || len(x[i]) == len(y[i]) && x[i] < y[i]
		}
	}
	return len(x) < len(y)
}

func (r *run) row(e exercise.Exercise) {
	for _, f := range []struct {
		missing bool
		field   string
	}{
		{e.Title == "", "title"}, {e.File == "", "file"}, {e.Minutes <= 0, "minutes"}, {e.Points <= 0, "points"},
		{e.Difficulty < 1 || e.Difficulty > 3, "difficulty of 1 to 3"}, {e.Anchor == "", "anchor"}, {len(e.Rungs) == 0, "rungs"},
	} {
		if f.missing {
			r.report.fail("", "complete its row in internal/exercise", "exercise %s has no %s", e.ID, f.field)
		}
	}
	page := r.page(e)
	text, err := os.ReadFile(r.Tree.Path(page))
	if err != nil {
		r.report.fail(page, "write it", "exercise %s has no page", e.ID)
	} else if e.Anchor != "" && !slices.Contains(anchors(text), e.Anchor) {
		r.report.fail(page, "add the heading or correct the row's anchor", "no heading has the anchor #%s of exercise %s", e.Anchor, e.ID)
	}
}

// rungs: the table's rungs are the tests that belong to the exercise.
func (r *run) rungs(e exercise.Exercise) {
	file := testFile(e)
	tests, err := readTests(r.Tree.Path(file))
	if err != nil {
		r.report.fail(file, "an exercise's rungs are in the test file beside it", "exercise %s has no tests: %v", e.ID, err)
		return
	}
	own, free := map[string]bool{}, false
	for _, t := range tests {
		if len(t.needs) == 0 || t.needs[0] != e.ID {
			continue
		}
		own[t.name] = true
		if !slices.ContainsFunc(e.Rungs, func(g exercise.Rung) bool { return g.Test == t.name }) {
			r.report.fail(file, "add it to the row", "%s belongs to exercise %s and is no rung of it", t.name, e.ID)
		}
		later := false
		for _, id := range t.needs {
			n, ok := r.find(id)
			if !ok {
				r.report.fail(file, "correct the call of exercise.Need", "%s needs %q, which is no exercise", t.name, id)
				continue
			}
			later = later || n.Chapter() == e.Chapter() && less(e.ID, id)
			in := r.src.inputs(path.Dir(file), r.reference())
			if in[n.File] == "" {
				r.report.fail(file, "import its package, or its mark is never seen", "%s needs %s, whose package %s is not linked into the test", t.name, id, n.Dir())
			}
		}
		free = free || !later
	}
	for _, g := range e.Rungs {
		if !own[g.Test] {
			r.report.fail(file, "write it, beginning with exercise.Need, or correct the row", "rung %s of exercise %s is no test of that exercise", g.Test, e.ID)
		}
		if g.Says == "" || g.Hint < 1 || g.Hint > 3 {
			r.report.fail("", "complete its row", "rung %s of exercise %s has no words or no hint of 1 to 3", g.Test, e.ID)
		}
	}
	if len(own) > 0 && !free {
		r.report.fail(file, "one rung must stand on earlier exercises alone", "every rung of %s needs a later exercise of its chapter", e.ID)
	}
}

var page = regexp.MustCompile(`^[0-9][0-9]-.*\.md$`)

// orphans: nothing below solutions/ or chapters/ without a row, no mark without one.
func (r *run) orphans() error {
	for _, top := range []string{"solutions", "chapters"} {
		err := filepath.WalkDir(r.Tree.Path(top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			rel, _ := filepath.Rel(r.Tree.Root, p)
			rel = filepath.ToSlash(rel)
			if top == "solutions" && !r.belongs(rel) {
				r.report.fail(rel, "add its row to internal/exercise, or delete it", "orphaned: no exercise has this file")
			}
			name := d.Name()
			if path.Dir(rel) == "chapters" && page.MatchString(name) && !strings.HasPrefix(name, "00-") &&
				!slices.ContainsFunc(r.Chapters, func(c exercise.Chapter) bool { return c.Dir+".md" == name }) {
				r.report.fail(rel, "add the chapter to internal/exercise, or delete it", "orphaned: no chapter has this page")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	mark := regexp.MustCompile(`(?m)^var _ = todo\("([^"]*)"\)`)
	for _, dir := range r.packages() {
		for _, f := range r.src.files[dir] {
			src, err := os.ReadFile(r.Tree.Path(f))
			if err != nil {
				return err
			}
			for _, m := range mark.FindAllSubmatch(src, -1) {
				if e, ok := r.find(string(m[1])); !ok || e.File != f {
					r.report.fail(f, "add its row to internal/exercise, or correct the mark", "orphaned: bears the mark of %s, which the table does not give to this file", m[1])
				}
			}
		}
	}
	return nil
}

// generated: what lab dev gen writes is fresh.
func (r *run) generated() error {
	files, err := r.Tree.GeneratedFor(r.Exercises)
	if err != nil {
		r.report.fail(workshop.StubsFile, "./lab dev gen", "%v", err)
		return nil
	}
	for name, want := range files {
		if have, err := os.ReadFile(r.Tree.Path(name)); err != nil || !bytes.Equal(have, want) {
			r.report.fail(name, "as a maker: ./lab dev gen; as a reader: a stub was edited and still bears its mark, ./lab status says which", "is not what the table and the stubs make of it")
			continue
		}
		r.report.pass(1)
	}
	return nil
}
