package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/exercise"
	"coracle/internal/sandbox"
	"coracle/internal/workshop"
)

var tiny = []exercise.Exercise{
	{ID: "1.1", Title: "double", File: "01-one/double.go", Minutes: 5, Difficulty: 1, Points: 2, Anchor: "11-double",
		Rungs: []exercise.Rung{{Test: "TestDouble_Positive", Says: "3", Hint: 1}, {Test: "TestDouble_Negative", Says: "-3", Hint: 2}}},
	{ID: "1.2", Title: "ask", File: "01-one/ask.go", Minutes: 5, Difficulty: 1, Points: 2, Anchor: "12-ask-twice", Needs: []string{"1.1"},
		Rungs: []exercise.Rung{{Test: "TestAsk_First", Says: "the first", Hint: 1}}},
}

// fixture writes the good workshop, generated files included, and lays one fault
// over it; want is what must be said. Fixtures share one store: it goes by content.
func fixture(t *testing.T, store, fault string) (w Workshop, want string) {
	root := t.TempDir()
	write := func(name string) string {
		a, err := txtar.ParseFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		for _, f := range a.Files {
			path := filepath.Join(root, f.Name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, f.Data, 0o644))
		}
		return strings.TrimSpace(string(a.Comment))
	}
	write("good.txtar")
	require.NoError(t, os.MkdirAll(filepath.Join(root, ".lab/cache"), 0o755))
	require.NoError(t, os.Symlink(store, filepath.Join(root, ".lab/cache/verify")))
	w = Workshop{&workshop.Tree{Root: root}, tiny, []exercise.Chapter{{N: 1, Dir: "01-one", Title: "One"}}}
	generate := func() {
		files, err := w.Tree.GeneratedFor(w.Exercises)
		require.NoError(t, err)
		for name, data := range files {
			require.NoError(t, os.WriteFile(w.Tree.Path(name), data, 0o644))
		}
	}
	generate()
	if fault != "good.txtar" {
		want = write(fault)
		if rest, ok := strings.CutPrefix(want, "delete "); ok {
			file, after, _ := strings.Cut(rest, "\n")
			require.NoError(t, os.Remove(w.Tree.Path(file)))
			want = after
		}
		if !strings.HasPrefix(fault, "generated_") {
			generate()
		}
	}
	return w, want
}

func options(out *bytes.Buffer) Options { return Options{Out: out, Timeout: 3 * time.Second} }

func TestRun_GoodWorkshopPasses_AndWarmBuildsNothing(t *testing.T) {
	w, _ := fixture(t, t.TempDir(), "good.txtar")
	var out bytes.Buffer
	o := options(&out)
	o.Update = true
	cold, err := Run(t.Context(), w, o)
	require.NoError(t, err)
	assert.Empty(t, cold.Failed)
	assert.Positive(t, cold.Built)
	out.Reset()
	warm, err := Run(t.Context(), w, options(&out))
	require.NoError(t, err)
	assert.Empty(t, warm.Failed)
	assert.Equal(t, cold.Passed, warm.Passed)
	assert.Zero(t, warm.Built)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Regexp(t, `^\d+ passed, 0 failed, 0 skipped$`, lines[len(lines)-1])

	// A comment changes the content of one mistake, and only that one is built again.
	file := w.Tree.Path("solutions/mistakes/1.1/square.go")
	src, _ := os.ReadFile(file)
	require.NoError(t, os.WriteFile(file, append(src, "\n// changed\n"...), 0o644))
	one, err := Run(t.Context(), w, options(&out))
	require.NoError(t, err)
	assert.Equal(t, 1, one.Built)
}

// classes are those that must find a fault, by the first word of its file.
var classes = map[string][]string{
	"stub": {"stubs", "marks"}, "rung": {"marks"}, "reference": {"references"}, "name": {"references"},
	"mistake": {"mistakes"}, "alternative": {"alternatives"}, "combination": {"combinations"},
	"diagnosis": {"mistakes"}, "yours": {"yours"}, "given": {"given"},
}

func TestRun_NamesEachFault(t *testing.T) {
	store := t.TempDir()
	faults, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	for _, f := range faults {
		fault := filepath.Base(f)
		if fault == "good.txtar" {
			continue
		}
		t.Run(strings.TrimSuffix(fault, ".txtar"), func(t *testing.T) {
			t.Parallel()
			w, want := fixture(t, store, fault)
			var out bytes.Buffer
			said := func(o Options) bool {
				report, err := Run(t.Context(), w, o)
				require.NoError(t, err)
				found := report.Failed
				if strings.HasPrefix(want, "skip: ") {
					found = report.Skipped
				}
				return slices.ContainsFunc(found, func(f Finding) bool { return strings.Contains(f.String(), strings.TrimPrefix(want, "skip: ")) })
			}
			quick, slow := options(&out), options(&out)
			kind, _, _ := strings.Cut(fault, "_")
			quick.Only, slow.Only = []string{"structure", "sources", "imports"}, classes[strings.TrimSuffix(kind, ".txtar")]
			assert.True(t, said(quick) || slow.Only != nil && said(slow), "want %q in\n%s", want, out.String())
		})
	}
}

func TestRun_StrictFailsWhatTheMachineCannot(t *testing.T) {
	w, want := fixture(t, t.TempDir(), "mistake_skipped.txtar")
	var out bytes.Buffer
	o := options(&out)
	o.Strict = true
	report, err := Run(t.Context(), w, o)
	require.NoError(t, err)
	assert.Empty(t, report.Skipped)
	assert.Contains(t, out.String(), strings.TrimPrefix(want, "skip: "))
}

func TestMachineCannot_IsTheSandboxsWord(t *testing.T) {
	assert.Equal(t, sandbox.Cannot, machineCannot)
}

func TestAnchors_AsGitHubMakesThem(t *testing.T) {
	got := anchors([]byte("# A\n## 1.3 `pivot_root`: a root, alone!\n```\n# no\n```\n## A\n### [link](x.md) — y\n"))
	assert.Equal(t, []string{"a", "13-pivot_root-a-root-alone", "a-1", "link--y"}, got)
}
