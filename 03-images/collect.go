package images

import (
	"context"

	"github.com/opencontainers/go-digest"

	"coracle/internal/exercise"
)

// Exercise 3.10: garbage collection
//
// Layers are shared, so no image may remove its own. Instead everything that can be
// reached from what is in use is marked, and what bears no mark is swept:
//
//	names ───────▶ index ──▶ manifest ──▶ config ···▶ layers/HEX, unpacked
//	                                └───▶ layers, packed
//	steps kept ───────────────────────▶ a layer, packed  and  layers/HEX
//	snapshots ─────────────────────────────────────────────▶ layers/HEX and those below
//
// A counter at each blob would be wrong for ever after one crash; a mark is made anew
// each time. Two things make a collector lose what it should keep: to sweep while
// somebody adds what has no name yet, and to take what it cannot read for nothing.
//
// Full size: containerd, core/metadata/gc.go.
//
// Delete this line when you start:
var _ = todo("3.10")

// Mark returns what can be reached from the roots, the roots included. children
// says what a blob refers to, and is asked once about each blob: loops end, and so
// does an index that has the next one twice, sixty times over. A digest may be "", as
// that of a config's own config: it is asked about like any other. roots stays as it is.
//
//	Mark([index], …) → index, the manifests in it, their configs and layers
//
// Errors: the first of children's, with the digest that it was asked about, and no
// marks: what hangs on a blob that cannot be read is not known, so nothing may be swept.
func Mark(roots []Descriptor, children func(Descriptor) ([]Descriptor, error)) (map[digest.Digest]bool, error) {
	return nil, exercise.Unwritten("3.10")
}

// Collect removes what nothing refers to. It waits until nobody adds to the store
// (Alone), or ctx ends, holds the lock from before it looks until all is swept, and
// gives it back, whatever happens.
//
// All that is in use goes into a live (sweep.go) before anything is removed:
//   - blobs: what Mark reaches from all names (s.Tags) and from the Layer of each step
//     that is kept, by s.children(l). That also adds to l.layers what was unpacked from a
//     config's layers
//   - steps: the files that s.keptSteps(o.Steps) names
//   - layers, and those below each (l.addLayers, which stops at what is marked, since
//     what is below that is marked too): the Chain of a step that is kept, and
//     the Parent of each of s.Snapshots, but for those that a crash left (Temporary)
//
// Then a sweeper removes the rest: steps, what is half done (partial), layers, blobs, in
// this order, so that what refers goes before what it refers to. With o.DryRun it
// counts alone.
//
// A crash in the middle loses nothing that is kept, and the next Collect goes on.
//
// Errors: any of those on the way, and none of them may be taken for "nothing in use";
// then nothing was removed, but for an error of the sweeper: that ends it at once, and
// beside it Collected says what was removed (sweeper.done).
// May use: Alone, Tags, keptSteps, Snapshots, children, live (its maps are yours to
// make), sweeper{store: s, o: o}.
//
// Done when: `./lab test 3.10` is green.
func (s *Store) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	return Collected{}, exercise.Unwritten("3.10")
}
