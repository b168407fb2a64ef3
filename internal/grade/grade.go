package grade

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/workshop"
)

//go:embed graded.go.txt
var graded []byte

// hook is where graded is laid over; no file of the tree has this name.
const hook = "internal/exercise/graded.go"

// Options narrow a grading.
type Options struct {
	Exercises []exercise.Exercise
	Limits    Limits   // zero: DefaultLimits
	VM        bool     // run the tests in a virtual machine
	Hide      []string // folders to cover besides the tree, the home and /run/user: where other submissions are

	trusting bool // for tests: files are not inspected, so that what follows is shown to hold
}

type grader struct {
	t    *workshop.Tree
	o    Options
	tmp  string
	base workshop.Layer
	hide []string
}

// Run grades a submission with the tests, given code and references of tree t.
// An error is the grader's, never the submission's.
func Run(ctx context.Context, t *workshop.Tree, sub Submission, o Options) (*Report, error) {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	tmp, err := os.MkdirTemp("", "coracle-grade-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	over, err := t.Keep(graded)
	if err != nil {
		return nil, err
	}
	g := &grader{t: t, o: o, tmp: tmp, base: t.Reference(exercise.All()...).With(workshop.Layer{hook: over})}
	for _, dir := range append([]string{t.Root, os.Getenv("HOME"), "/run/user"}, o.Hide...) {
		if rel, err := filepath.Rel(dir, tmp); dir != "" && dir != "/" && (err != nil || strings.HasPrefix(rel, "..")) {
			g.hide = append(g.hide, dir)
		}
	}
	results := map[string]*Exercise{}
	together := map[string][]exercise.Exercise{} // by package
	for _, e := range o.Exercises {
		r := &Exercise{ID: e.ID, Title: e.Title, Of: e.Points}
		results[e.ID] = r
		if r.State, r.Message = g.first(e, sub[e.File]); r.State == "" {
			together[e.Dir()] = append(together[e.Dir()], e)
		}
	}
	var alone []exercise.Exercise
	for _, dir := range slices.Sorted(maps.Keys(together)) {
		es := together[dir]
		left, err := g.batch(ctx, sub, es, results, len(es) > 1)
		if err != nil {
			return nil, err
		}
		alone = append(alone, left...)
	}
	for _, e := range alone {
		if _, err := g.batch(ctx, sub, []exercise.Exercise{e}, results, false); err != nil {
			return nil, err
		}
	}
	report := &Report{}
	for _, e := range o.Exercises {
		report.add(e, results[e.ID])
	}
	return report, nil
}

// first says what is known before anything is built; "" if it is worth building.
func (g *grader) first(e exercise.Exercise, f Taken) (State, string) {
	switch {
	case f.Err != nil:
		return Refused, f.Err.Error()
	case f.Data == nil:
		return Unwritten, "no " + e.File + " in the submission"
	case workshop.HasMark(f.Data, e.ID):
		if stub, err := g.t.Stub(e); err == nil && !bytes.Equal(stub, f.Data) {
			return Unwritten, "edited, but its mark is still there: delete the line var _ = todo(\"" + e.ID + "\")"
		}
		return Unwritten, ""
	case g.o.trusting:
		return "", ""
	}
	if err := inspect(g.t, e, f.Data); err != nil {
		return Refused, err.Error()
	}
	return "", ""
}

// batch builds exercises of one package together and runs their rungs. If retry,
// those that are not all green are returned, to be built alone.
func (g *grader) batch(ctx context.Context, sub Submission, es []exercise.Exercise, results map[string]*Exercise, retry bool) (again []exercise.Exercise, err error) {
	layer := g.base
	for _, e := range es {
		file := filepath.Join(g.tmp, e.ID+".go")
		if err := os.WriteFile(file, sub[e.File].Data, 0o644); err != nil {
			return nil, err
		}
		layer = layer.With(workshop.Layer{e.File: file})
	}
	overlay, err := g.t.Write(layer)
	if err != nil {
		return nil, err
	}
	defer os.Remove(overlay)
	dir := es[0].Dir()
	work, err := os.MkdirTemp(g.tmp, "run-")
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(work, filepath.Base(dir)+".test")
	err = gotest.Build(ctx, g.t.Root, dir, overlay, bin)
	if build := new(gotest.BuildError); errors.As(err, &build) {
		if retry {
			return es, nil
		}
		results[es[0].ID].State = Refused
		results[es[0].ID].Message = "does not compile: " + excerpt(strings.ReplaceAll(build.Output, g.tmp+"/", ""))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cwd := filepath.Join(work, filepath.Base(dir))
	if err := copyData(g.t.Path(dir), cwd); err != nil {
		return nil, err
	}
	var units []unit
	for _, e := range es {
		u := unit{ID: e.ID, Bin: bin, Dir: cwd, Cgroup: true, Limits: g.o.Limits, Hide: g.hide}
		for _, r := range e.Rungs {
			u.Tests = append(u.Tests, r.Test)
		}
		units = append(units, u)
	}
	rungs, err := g.judge(ctx, units)
	if err != nil {
		return nil, err
	}
	for i, e := range es {
		green := !slices.ContainsFunc(rungs[i], func(r Rung) bool { return r.State != Passed && r.State != Cannot })
		if !green && retry {
			again = append(again, e)
			continue
		}
		results[e.ID].Rungs = rungs[i]
	}
	return again, nil
}

func (g *grader) judge(ctx context.Context, units []unit) ([][]Rung, error) {
	if g.o.VM {
		return inMachine(ctx, g.t.Root, units)
	}
	var all [][]Rung
	for _, u := range units {
		rungs, err := judge(ctx, u)
		if err != nil {
			return nil, err
		}
		all = append(all, rungs)
	}
	return all, nil
}

// copyData copies what tests may read: the package's files that are no Go, and
// its testdata. The source itself stays out of sight.
func copyData(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		if d.IsDir() {
			if rel != "." && rel != "testdata" && !strings.HasPrefix(rel, "testdata/") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if !d.Type().IsRegular() || strings.HasSuffix(rel, ".go") && !strings.HasPrefix(rel, "testdata/") {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return fmt.Errorf("copy %s: %w", p, err)
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
}
