package grade

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

func TestMain(m *testing.M) {
	if code, is := Main(); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func tree(t *testing.T) *workshop.Tree {
	w, err := workshop.Find(".")
	require.NoError(t, err)
	return w
}

func exercises(t *testing.T, ids ...string) (es []exercise.Exercise, files []string) {
	for _, id := range ids {
		e, ok := exercise.Find(id)
		require.True(t, ok)
		es, files = append(es, e), append(files, e.File)
	}
	return es, files
}

// short is enough for honest rungs of 1.0 and ends the others soon.
var short = Limits{2 * time.Second, 256 << 20, 100}

// write lays out a submission.
func write(t *testing.T, a *txtar.Archive) string {
	dir := t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o644))
	}
	if name, ok := strings.CutPrefix(strings.TrimSpace(string(a.Comment)), "links "); ok {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, name)))
	}
	return dir
}

func grading(t *testing.T, from string, o Options, ids ...string) *Report {
	es, files := exercises(t, ids...)
	o.Exercises = es
	sub, err := Take(t.Context(), from, "", files)
	require.NoError(t, err)
	r, err := Run(t.Context(), tree(t), sub, o)
	require.NoError(t, err)
	return r
}

// needSandbox: without one every rung is "machine cannot", and nothing is shown.
func needSandbox(t *testing.T, r *Report) {
	for _, e := range r.Exercises {
		for _, g := range e.Rungs {
			if g.State == Cannot {
				t.Skip(g.Message)
			}
		}
	}
}

func reference(t *testing.T, ids ...string) *txtar.Archive {
	a := new(txtar.Archive)
	es, _ := exercises(t, ids...)
	for _, e := range es {
		data, err := os.ReadFile(tree(t).Path(e.Solution()))
		require.NoError(t, err)
		a.Files = append(a.Files, txtar.File{Name: e.File, Data: data})
	}
	return a
}

func TestRun_ReferenceGetsAllPoints(t *testing.T) {
	r := grading(t, write(t, reference(t, "1.0")), Options{}, "1.0")
	needSandbox(t, r)
	assert.True(t, r.Full(), "%+v", r)
	assert.Equal(t, float64(r.Of), r.Points)
}

func TestRun_ScoresNothing(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/nothing/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, fixtures)
	for _, f := range fixtures {
		a, err := txtar.ParseFile(f)
		require.NoError(t, err)
		// Where inspection alone refuses a file, that is what is shown; else that the
		// descriptor's protocol holds without it.
		inspected := strings.HasPrefix(string(a.Comment), "inspected only")
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			r := grading(t, write(t, a), Options{Limits: short, trusting: !inspected}, "1.0")
			needSandbox(t, r)
			e := r.Exercises[0]
			assert.Zero(t, r.Points, "%+v", e)
			assert.Contains(t, []State{Failed, Refused}, e.State)
			if inspected {
				assert.Equal(t, Refused, e.State)
				assert.Empty(t, e.Rungs)
			}
			msg := e.Message
			if msg == "" {
				msg = e.Rungs[0].Message
			}
			assert.NotEmpty(t, msg)
			t.Log(e.State, msg)
		})
	}
}

func TestRun_RungsGivePartsOfThePoints(t *testing.T) {
	a, err := txtar.ParseFile("testdata/partial.txtar")
	require.NoError(t, err)
	r := grading(t, write(t, a), Options{}, "1.0")
	needSandbox(t, r)
	e := r.Exercises[0]
	assert.Equal(t, Failed, e.State)
	assert.Equal(t, []State{Passed, Failed, Failed}, []State{e.Rungs[0].State, e.Rungs[1].State, e.Rungs[2].State})
	assert.InDelta(t, float64(e.Of)/3, r.Points, 0.01)
	assert.Contains(t, e.Rungs[1].Message, "/proc/self is read whatever pid is")
}

func TestRun_BadFileCostsOnlyItsExercise(t *testing.T) {
	a := reference(t, "1.0")
	a.Files = append(a.Files, txtar.File{Name: "01-namespaces/clone.go", Data: []byte("package namespaces\n\nvar x int = \"\"\n")})
	r := grading(t, write(t, a), Options{}, "1.0", "1.1", "1.2")
	needSandbox(t, r)
	assert.Equal(t, Passed, r.Exercises[0].State)
	assert.Equal(t, Refused, r.Exercises[1].State)
	assert.Contains(t, r.Exercises[1].Message, "does not compile")
	assert.Equal(t, Unwritten, r.Exercises[2].State)
	assert.False(t, r.Full())

	var text, js, junit bytes.Buffer
	require.NoError(t, r.Text(&text))
	assert.Contains(t, text.String(), "1.1       refused")
	require.NoError(t, r.JSON(&js))
	require.NoError(t, json.Unmarshal(js.Bytes(), new(Report)))
	require.NoError(t, r.JUnit(&junit))
	assert.Contains(t, junit.String(), `<skipped type="unwritten"`)
	assert.Contains(t, junit.String(), `<failure type="refused"`)
}

func TestRun_TreeAndEnvironmentAreOutOfSight(t *testing.T) {
	t.Setenv("CORACLE_TEST_SECRET", "secret")
	a, err := txtar.ParseFile("testdata/looks_around.txtar")
	require.NoError(t, err)
	a.Files[0].Data = bytes.ReplaceAll(a.Files[0].Data, []byte("ROOT"), []byte(tree(t).Root))
	r := grading(t, write(t, a), Options{}, "1.0")
	needSandbox(t, r)
	msg := r.Exercises[0].Rungs[0].Message
	assert.Contains(t, msg, "tree [] secret []")
}

func TestTake_ArchivesAndRepositories(t *testing.T) {
	a := reference(t, "1.0")
	dir := write(t, a)
	_, files := exercises(t, "1.0", "1.1")
	run := func(name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	tgz := filepath.Join(t.TempDir(), "alice.tar.gz")
	run("tar", "czf", tgz, "-C", filepath.Dir(dir), filepath.Base(dir))
	run("git", "init", "-q")
	run("git", "add", ".")
	run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "mine")
	require.NoError(t, os.Remove(filepath.Join(dir, files[0])))
	for from, ref := range map[string]string{tgz: "", dir: "HEAD"} {
		s, err := Take(t.Context(), from, ref, files)
		require.NoError(t, err)
		assert.Equal(t, a.Files[0].Data, s[files[0]].Data, from)
		assert.NotContains(t, s, files[1])
	}
	_, err := Take(t.Context(), dir, "--help", files)
	assert.Error(t, err)
}

func TestVerdict_BelievesOnlyTheDescriptor(t *testing.T) {
	for _, c := range []struct {
		said string
		exit int
		out  string
		want State
	}{
		{"n T pass\nn - end\n", 0, "", Passed},
		{"n T pass\nn - end\n", 1, "", Failed},
		{"n T pass\n", 0, "", Failed},
		{"n T fail\nn - end\n", 1, "", Failed},
		{"n T skip\nn - end\n", 0, "machine cannot: x", Cannot},
		{"n T skip\nn - end\n", 0, "not yet", Failed},
		{"n T pass\nn - end\nx T pass\n", 0, "", Failed},
		{"n T fail\nn T pass\nn - end\n", 0, "", Failed},
		{"", 0, "--- PASS: T\nPASS\n", Failed},
		{"", 125, "machine cannot: sandbox: no", Cannot},
		{"", 0, "machine cannot: sandbox: no", Failed},
	} {
		got, _ := verdict("T", "n", c.said, c.exit, c.out)
		assert.Equal(t, c.want, got, "%+v", c)
	}
}

func TestClassroom_IsWhatTheTableMakes(t *testing.T) {
	have, err := os.ReadFile(tree(t).Path(ClassroomFile))
	require.NoError(t, err)
	assert.Equal(t, string(Classroom(exercise.All())), string(have), "write it anew: ./lab grade --classroom > "+ClassroomFile)
}
