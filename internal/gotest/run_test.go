package gotest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sample = `package sample

import "testing"

func TestA(t *testing.T) { t.Log("from a"); t.Run("sub", func(t *testing.T) { t.Error("in sub") }) }
func TestB(t *testing.T) { t.Skip("machine cannot") }
func TestC(t *testing.T) { print("no newline") }
func TestD(t *testing.T) { panic("at the disco") }
`

func module(t *testing.T) string {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module sample\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "sample_test.go"), []byte(sample), 0o644))
	return root
}

func TestRun_TellsTestsApart(t *testing.T) {
	root := module(t)
	bin := filepath.Join(root, "sample.test")
	require.NoError(t, Build(t.Context(), root, ".", "", bin))
	res, err := Run(t.Context(), bin, root, Options{})
	require.NoError(t, err)
	require.Len(t, res.Tests, 4)
	var got []Outcome
	for _, r := range res.Tests {
		got = append(got, r.Outcome)
	}
	assert.Equal(t, []Outcome{Fail, Skip, Pass, Fail}, got)
	assert.Contains(t, res.Tests[0].Output, "in sub")
	assert.Contains(t, res.Tests[1].Output, "machine cannot")
	assert.Contains(t, res.Tests[2].Output, "no newline")
	assert.NotContains(t, res.Tests[2].Output, "disco")
	assert.Equal(t, 2, res.Exit)

	res, err = Run(t.Context(), bin, root, Options{Run: []string{"TestB", "TestC"}})
	require.NoError(t, err)
	assert.Len(t, res.Tests, 2)
	assert.Equal(t, 0, res.Exit)
}

func TestBuild_SaysWhatTheCompilerSaid(t *testing.T) {
	root := module(t)
	require.NoError(t, os.WriteFile(filepath.Join(root, "broken.go"), []byte("package sample\nvar x int = \"\"\n"), 0o644))
	err := Build(t.Context(), root, ".", "", filepath.Join(root, "sample.test"))
	var build *BuildError
	require.ErrorAs(t, err, &build)
	assert.Contains(t, build.Output, "broken.go:2")
}
