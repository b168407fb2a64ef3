package images

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// A container's tree: a snapshot of an image of 20 layers is made and mounted. The
// goal is less than 5 ms.
func BenchmarkSnapshot_PrepareAndMount(b *testing.B) {
	exercise.NeedAll(b)
	sandbox.Need(b, overlays)
	s := newStore(b)
	parent := ""
	for i := range 20 {
		name := fmt.Sprint("layer", i)
		addLayer(b, s, name, parent, files(b, "dir/"+name, "usr/bin/"+name))
		parent = name
	}
	target := b.TempDir()
	for i := 0; b.Loop(); i++ {
		sn, err := s.Prepare(b.Context(), fmt.Sprint("bench", i), chainOf(parent))
		check.NoError(b, "Prepare", err)
		check.NoError(b, "Mount", sn.Mount(target))
		b.StopTimer()
		check.NoError(b, "unmount", unix.Unmount(target, 0))
		check.NoError(b, "Remove", sn.Remove())
		b.StartTimer()
	}
}
