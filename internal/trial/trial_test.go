package trial

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/exercise"
	"coracle/internal/gotest"
	"coracle/internal/screen"
	"coracle/internal/workshop"
)

func TestTrim_LeavesWhatAPersonReads(t *testing.T) {
	log := "    x_test.go:15: Greet(\"Ada\"): got 1\n          often this is: a slip\n        read it\n    x_test.go:16: more\nPASS\n"
	assert.Equal(t, "x_test.go:15: Greet(\"Ada\"): got 1\n  often this is: a slip\nread it\nx_test.go:16: more", Trim(log))

	trace := strings.Join([]string{"panic: no", "", "goroutine 7 [running]:", "testing.tRunner.func1()", "\t/usr/local/go/src/testing/testing.go:1977 +0x3",
		"coracle/01-x.(*T).Add(0x1, 0x2)", "\t01-x/add.go:6 +0x25", "coracle/01-x.TestAdd(0x1)", "\t01-x/add_test.go:3 +0x25",
		"", "goroutine 1 [running]:", "coracle/internal/sandbox.Main(0x1)", "\tinternal/sandbox/main.go:53 +0x2", "main.main()", "\t_testmain.go:164 +0x9",
		"created by testing.(*T).Run in goroutine 1", "\t/usr/local/go/src/testing/testing.go:2101 +0x4"}, "\n")
	assert.Equal(t, "panic: no\n\n  at 01-x/add.go:6, 01-x.(*T).Add", Trim(trace))
	assert.Empty(t, Trim("\n  \nPASS\n"))
	subtests := "    --- PASS: TestX/short (0.00s)\n        x_test.go:9: [rapid] OK, passed 100 tests (2ms)\n    --- FAIL: TestX/long (0.00s)\n        x_test.go:15: got 1\n"
	assert.Equal(t, "--- FAIL: TestX/long (0.00s)\n    x_test.go:15: got 1", Trim(subtests))
}

func TestRewriter_NamesBorrowedFiles(t *testing.T) {
	tree := &workshop.Tree{Root: "/w"}
	layer := workshop.Layer{"01-x/a.go": "/w/solutions/01-x/a.go", "01-x/c.go": "/w/.lab/cache/c.go"}
	rewrite := rewriter(tree, layer)
	assert.Equal(t, "\tsolutions/01-x/a.go:4 (borrowed) +0x2", rewrite("\t/w/01-x/a.go:4 +0x2"))
	assert.Equal(t, "solutions/01-x/a.go:4:2 (borrowed): no", rewrite("./solutions/01-x/a.go:4:2: no"))
	assert.Equal(t, "01-x/b.go:4:2: no", rewrite("/w/01-x/b.go:4:2: no"))
	assert.Equal(t, "01-x/c.go:1", rewrite("01-x/c.go:1"), "not borrowed, only laid over")
	assert.Equal(t, "/usr/lib/go/x.go:4", rewrite("/usr/lib/go/x.go:4"))
}

func TestDiagnose_ByPhrase(t *testing.T) {
	root := t.TempDir()
	tree := &workshop.Tree{Root: root}
	e := exercise.All()[0]
	require.GreaterOrEqual(t, len(e.Rungs), 3)
	known := map[string][]Mistake{e.ID: {
		{Name: "one", Phrase: "phrase one", Fails: []string{e.Rungs[0].Test}},
		{Name: "two", Phrase: "phrase two", Fails: []string{e.Rungs[1].Test, e.Rungs[0].Test}},
		{Name: "also", Phrase: "phrase also", Fails: []string{e.Rungs[2].Test}},
		{Name: "same", Phrase: "phrase same", Fails: []string{e.Rungs[2].Test}},
	}}
	data, err := json.Marshal(known)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "solutions"), 0o755))
	require.NoError(t, os.WriteFile(tree.Path(MistakesFile), data, 0o644))
	try := func(output string, fails ...int) string {
		tr := &Trial{Exercise: e}
		for _, r := range e.Rungs {
			tr.Rungs = append(tr.Rungs, Rung{Rung: r, Outcome: gotest.Pass})
		}
		for _, i := range fails {
			tr.Rungs[i].Outcome, tr.Rungs[i].Output = gotest.Fail, output
		}
		return diagnose(tree, tr)
	}
	assert.Equal(t, "phrase two", try("often this is: phrase two", 0))
	assert.Equal(t, "phrase two", try("phrase one; phrase two", 0, 1), "of two, the one that fails the same tests")
	assert.Empty(t, try("", 0, 1), "the same tests alone say nothing")
	assert.Empty(t, try("F is not written yet: exercise 1.0, x.go", 0))
	assert.Empty(t, try("", 1))
}

func TestStandsOnFailed(t *testing.T) {
	rep := &Report{Trials: []Trial{{Exercise: exercise.Exercise{ID: "9.1"}, Verdict: Failed}}}
	direct := exercise.Exercise{ID: "9.2", Needs: []string{"9.1"}}
	assert.True(t, rep.standsOnFailed(direct, map[string]bool{}))
	assert.False(t, rep.standsOnFailed(exercise.Exercise{ID: "9.3"}, map[string]bool{}))
}

func TestDeclared_SignaturesWithoutNames(t *testing.T) {
	src := "package p\nimport \"os\"\nvar _ = todo(\"1\")\ntype T struct{}\nconst C = 1\nfunc F(a, b int, f *os.File) (n int, err error) { return }\nfunc (t *T) M() {}\nfunc (t *T) m() {}\nfunc G() error { return nil }\n"
	assert.Equal(t, map[string]string{"T": "a type", "C": "a const", "F": "func(int, int, *os.File) (int, error)", "M": "func()", "G": "func() error"}, declared([]byte(src)))
	assert.Nil(t, declared([]byte("package p\nfunc {")))
}

func TestRunAll_AHangEndsItsExerciseOnly(t *testing.T) {
	es := exercise.All()[:2]
	rep := &Report{Dir: es[0].Dir(), Trials: []Trial{{Exercise: es[0]}, {Exercise: es[1]}}}
	var asked [][]string
	run := func(_ context.Context, _, _ string, o gotest.Options) (*gotest.Result, error) {
		asked = append(asked, o.Run)
		if len(asked) == 1 {
			return &gotest.Result{Exit: 2, Tests: []gotest.Test{{Name: es[0].Rungs[0].Test, Outcome: gotest.Unended, Output: "panic: test timed out after 30s\n"}}}, nil
		}
		res := &gotest.Result{}
		for _, name := range o.Run {
			res.Tests = append(res.Tests, gotest.Test{Name: name, Outcome: gotest.Pass})
		}
		return res, nil
	}
	tree := &workshop.Tree{Root: "../.."} // whose known mistakes include one that fails this rung alone
	require.NoError(t, runAll(t.Context(), tree, rep, Options{Run: run, Note: func(string) {}}, "bin", nil))
	require.Len(t, asked, 2, "one wait")
	for _, r := range es[0].Rungs {
		assert.NotContains(t, asked[1], r.Test)
	}
	assert.Len(t, asked[1], len(es[1].Rungs))
	assert.Equal(t, []Verdict{Failed, Passed}, []Verdict{rep.Trials[0].Verdict, rep.Trials[1].Verdict})
	var out strings.Builder
	rep.Write(&screen.Screen{Writer: &out, Width: 80}, false)
	assert.Contains(t, out.String(), "✗ hangs")
	assert.Contains(t, out.String(), ": does not end: ")
	assert.NotContains(t, out.String(), "Also failing")
	assert.Empty(t, rep.Trials[0].Looks)
}
