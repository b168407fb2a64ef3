package base_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/base"
)

// newCache gives the test a cache of its own but lets go build keep its.
func newCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	t.Setenv("GOCACHE", strings.TrimSpace(string(out)))
	t.Setenv("CORACLE_BASE", "")
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	return filepath.Join(dir, "coracle", "base")
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// copyModule is a module root with sources that the test may change.
func copyModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "internal", "box"), os.DirFS("../box")))
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	return dir
}

func TestEnsure_TwoAtOnceMakeOneUsableRoot(t *testing.T) {
	cache := newCache(t)
	module, err := filepath.Abs("../..")
	require.NoError(t, err)
	var dirs [2]string
	var errs [2]error
	var both sync.WaitGroup
	for i := range dirs {
		both.Go(func() { dirs[i], errs[i] = base.Ensure(context.Background(), module) })
	}
	both.Wait()
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	root := dirs[0]
	assert.Equal(t, root, dirs[1])
	assert.Len(t, entries(t, cache), 2, "one root and the link to it, nothing half built")

	got, err := base.Current()
	require.NoError(t, err)
	assert.Equal(t, root, got)

	cmd := exec.Command(filepath.Join(root, "bin", "sh"), "-c", "cat etc/os-release && ls bin | wc -l && realpath usr/bin")
	cmd.Dir, cmd.Env = root, []string{"PATH=" + filepath.Join(root, "bin")}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "ID=coracle-base")
	assert.Contains(t, string(out), filepath.Join(root, "bin"))

	fi, err := os.Stat(filepath.Join(root, "tmp"))
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|os.ModeSticky|0o777, fi.Mode())
	for _, name := range entries(t, filepath.Join(root, "bin")) {
		_, err := os.Stat(filepath.Join(root, "bin", name))
		assert.NoError(t, err, "every link in bin leads to the binary")
	}

	before, err := os.Stat(filepath.Join(root, "bin", "box"))
	require.NoError(t, err)
	again, err := base.Ensure(context.Background(), module)
	require.NoError(t, err)
	after, err := os.Stat(filepath.Join(again, "bin", "box"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "unchanged sources are not built again")

	require.NoError(t, os.Remove(filepath.Join(root, "bin", "sh")))
	_, err = base.Ensure(context.Background(), module)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(root, "bin", "sh"), "a root that lost its shell is made anew")
}

func TestPrune_KeepsTheCurrentRootAndYoungBuilders(t *testing.T) {
	cache, module := newCache(t), copyModule(t)
	old, err := base.Ensure(context.Background(), module)
	require.NoError(t, err)
	doc := filepath.Join(module, "internal", "box", "doc.go")
	text, err := os.ReadFile(doc)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(doc, append([]byte("// Changed.\n\n"), text...), 0o644))
	root, err := base.Ensure(context.Background(), module)
	require.NoError(t, err)
	require.NotEqual(t, old, root, "changed sources make a root of their own")

	dead, young := filepath.Join(cache, ".new-1"), filepath.Join(cache, ".new-2")
	require.NoError(t, os.Mkdir(dead, 0o755))
	require.NoError(t, os.Mkdir(young, 0o755))
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(dead, long, long))
	require.NoError(t, base.Prune())
	assert.ElementsMatch(t, []string{filepath.Base(filepath.Dir(root)), "current", ".new-2"}, entries(t, cache))
	got, err := base.Current()
	require.NoError(t, err)
	assert.Equal(t, root, got)
}

func TestEnsure_BuildErrorIsShownAndLeavesNothing(t *testing.T) {
	cache, module := newCache(t), copyModule(t)
	require.NoError(t, os.WriteFile(filepath.Join(module, "internal", "box", "bad.go"), []byte("package box\n\nvar x int = nothing\n"), 0o644))
	_, err := base.Ensure(context.Background(), module)
	require.ErrorContains(t, err, "undefined: nothing")
	assert.Empty(t, entries(t, cache))
}

func TestCurrent_WithoutRootSaysHowToMakeOne(t *testing.T) {
	newCache(t)
	_, err := base.Current()
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "./lab run 1 isolate -- sh")
	require.NoError(t, base.Prune(), "nothing to prune is no failure")
}

func TestOverride_ReplacesBothAndMustBeADirectory(t *testing.T) {
	newCache(t)
	dir := t.TempDir()
	t.Setenv("CORACLE_BASE", dir)
	got, err := base.Ensure(context.Background(), "/nonexistent")
	require.NoError(t, err)
	assert.Equal(t, dir, got)
	got, err = base.Current()
	require.NoError(t, err)
	assert.Equal(t, dir, got)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	t.Setenv("CORACLE_BASE", file)
	_, err = base.Current()
	assert.ErrorContains(t, err, "CORACLE_BASE: "+file+": not a directory")
}
