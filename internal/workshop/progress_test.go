package workshop

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/exercise"
)

// marked returns a tree in which every exercise is its stub.
func marked(t *testing.T) *Tree {
	tree := &Tree{Root: t.TempDir()}
	for _, e := range exercise.All() {
		require.NoError(t, writeFile(tree.Path(e.File), []byte("package p\nvar _ = todo(\""+e.ID+"\")\n")))
	}
	_, err := tree.Generate()
	require.NoError(t, err)
	return tree
}

func TestNext_FirstOpenOrLastTried(t *testing.T) {
	tree, all := marked(t), exercise.All()
	is := func(want exercise.Exercise) {
		t.Helper()
		got, ok, err := tree.Next()
		require.NoError(t, err)
		require.True(t, ok)
		assert.Equal(t, want.ID, got.ID)
	}
	is(all[0])
	write := func(e exercise.Exercise, text string) {
		require.NoError(t, writeFile(tree.Path(e.File), []byte(text)))
	}
	write(all[0], "package p // done")
	require.NoError(t, tree.Remember(all[0], []byte("package p // done"), true))
	is(all[1])
	write(all[1], "package p // tried")
	write(all[3], "package p // tried last")
	for i, e := range []exercise.Exercise{all[1], all[3]} {
		require.NoError(t, tree.UpdateProgress(func(p *Progress) { p.Attempt(e.ID).When = time.Unix(int64(100+i), 0) }))
	}
	is(all[3])
	require.NoError(t, tree.UpdateProgress(func(p *Progress) { p.Start = 2 }))
	is(exercise.Of(2)[0])
	for _, e := range all {
		require.NoError(t, tree.Remember(e, []byte("package p"), true))
		write(e, "package p")
	}
	_, ok, err := tree.Next()
	require.NoError(t, err)
	assert.False(t, ok, "everything is yours")
}

func TestNextHint_BeginsWithTheTestThatFails(t *testing.T) {
	e := exercise.Exercise{Rungs: []exercise.Rung{{Test: "A", Hint: 1}, {Test: "B", Hint: 2}}}
	a := &Attempt{}
	show := func(want int) {
		t.Helper()
		n := a.NextHint(e, 3)
		assert.Equal(t, want, n)
		a.Hint, a.HintFor = n, a.Test
	}
	show(1)
	show(2)
	a.Test = "B"
	show(2)
	show(3)
	show(3)
	a.Test = "A"
	show(1)
}

func TestReplace_KeepsWorkOnly(t *testing.T) {
	tree, e := marked(t), exercise.All()[0]
	backup, err := tree.Replace(e, []byte("mine"))
	require.NoError(t, err)
	assert.Empty(t, backup, "a stub needs no backup")
	seen := map[string]bool{}
	for _, text := range []string{"two", "three"} {
		backup, err = tree.Replace(e, []byte(text))
		require.NoError(t, err)
		require.NotEmpty(t, backup)
		assert.False(t, seen[backup], "two backups within a second")
		seen[backup] = true
	}
	kept, err := os.ReadFile(tree.Path(backup))
	require.NoError(t, err)
	assert.Equal(t, "two", string(kept))
	backup, err = tree.Replace(e, []byte("three"))
	require.NoError(t, err)
	assert.Empty(t, backup, "the same content")
}

func TestProgress_DamagedIsNone(t *testing.T) {
	tree := &Tree{Root: t.TempDir()}
	require.NoError(t, writeFile(tree.Path(progressFile), []byte("{")))
	assert.Empty(t, tree.Progress().Exercises)
	require.NoError(t, tree.UpdateProgress(func(p *Progress) { p.Start = 2 }))
	assert.Equal(t, 2, tree.Progress().Start)
}
