package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func next(t *testing.T, c <-chan []string) []string {
	t.Helper()
	select {
	case got := <-c:
		return got
	case <-time.After(time.Second):
		t.Fatal("no report within a second of the save")
		return nil
	}
}

func TestFiles_SavesOfEveryKind(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "a.go")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	c := Files(ctx, []string{dir, filepath.Join(dir, "missing")})
	require.NoError(t, os.WriteFile(file, []byte("three"), 0o644))
	assert.Equal(t, []string{file}, next(t, c), "written in place")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.go~"), []byte("other text"), 0o644))
	require.NoError(t, os.Rename(filepath.Join(dir, "a.go~"), file))
	assert.Equal(t, []string{file}, next(t, c), "renamed over")

	require.NoError(t, os.Remove(file))
	assert.Equal(t, []string{file}, next(t, c), "removed")
	cancel()
	for range c {
	}
}
