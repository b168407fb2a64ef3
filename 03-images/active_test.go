package images

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestPrepare(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	s := newStore(t)
	top := addLayer(t, s, "top", "", files(t, "bin/sh"))
	_, err := s.Prepare(t.Context(), "one", top)
	check.NoError(t, "Prepare", err)
	_, err = s.Prepare(t.Context(), "one", top)
	check.ErrorIs(t, "Prepare of an id that is there", err, fs.ErrExist)
	_, err = s.Prepare(t.Context(), "three", chainOf("nowhere"))
	check.ErrorIs(t, "Prepare on a layer that is not there", err, ErrNotFound)
	for _, bad := range []string{"", ".", "..", "a/b", "x.new", "lock", strings.Repeat("x", 200)} {
		_, err := s.Prepare(t.Context(), bad, top)
		check.True(t, fmt.Sprintf("Prepare(%q)", bad), err != nil, "no error", "an error")
	}
	sn, err := s.Snapshot("one")
	check.NoError(t, "Snapshot", err)
	check.Equal(t, "its parent", top, sn.Parent)
}

func TestSnapshot_Remove(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	s := newStore(t)
	sn, err := s.Prepare(t.Context(), "one", addLayer(t, s, "base", "", files(t, "dir/file")))
	check.NoError(t, "Prepare", err)
	target := t.TempDir()
	check.NoError(t, "Mount", sn.Mount(target))
	check.NoError(t, "remove a folder in it", os.RemoveAll(target+"/dir"))
	check.NoError(t, "unmount", unix.Unmount(target, 0))
	check.NoError(t, "Remove", sn.Remove())
	_, err = s.Snapshot("one")
	check.ErrorIs(t, "Snapshot afterwards", err, ErrNotFound)
	check.NoError(t, "Remove a second time", sn.Remove())
	all, err := s.Snapshots()
	check.NoError(t, "Snapshots", err)
	check.Equal(t, "Snapshots", 0, len(all))
}

// An image may empty the whole tree and begin anew.
func TestLowers_AnOpaqueRoot(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	s := newStore(t)
	base := addLayer(t, s, "base", "", files(t, "old"))
	anew := addLayer(t, s, "anew", "base", func(dir string) Applied {
		return apply(t, dir, ApplyOptions{Owners: s.Owners()}, tarEntry{Name: ".wh..wh..opq"}, tarEntry{Name: "new"})
	})
	tree := mounted(t, func(target string) error { return s.MountReadonly(anew, target) })
	check.Equal(t, "the tree of a layer that hides all below it", "new", list(t, tree))
	lower, err := s.Lowers(base)
	check.True(t, "Lowers of the layer below", err == nil && len(lower) == 1, fmt.Sprint(lower, err), "one")
}
