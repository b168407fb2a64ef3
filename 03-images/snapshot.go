package images

import (
	"context"

	"github.com/opencontainers/go-digest"

	"coracle/internal/exercise"
)

// Exercise 3.5: overlay snapshots
//
// Ten containers of one image do not need ten copies of it. Each layer is unpacked
// once, into a folder of its own, and the kernel shows several as one tree, to which
// each container adds a folder for what it changes:
//
//	layers/HEX/fs    /bin /etc        the first layer
//	layers/HEX/fs         /etc /srv   the one above; its files hide those below
//	active/ID/fs          /etc        upper: what this container wrote
//	-----------------------------------------------
//	the mount        /bin /etc /srv
//
// HEX is of the layer's chain ID, which names it together with all below it. layers.go
// says what is in such a folder, and when it is to be believed.
//
// Several processes share a store, and any may be killed at any moment. Whoever sees a
// layer under its name sees all of it: what is not ready has another name, and
// rename(2) is one step for everybody.
//
// Kernel: Documentation/filesystems/overlayfs.rst; mount(2); flock(2).
//
// Delete this line when you start:
var _ = todo("3.5")

// LayerPath returns the folder of an unpacked layer, layers/HEX/fs. A folder of this
// name is not enough: trusted says whether a power loss may have torn it.
//
// Errors: ErrNotFound; a digest that checkDigest refuses.
// May use: checkDigest; s.layer, the path of layers/HEX; trusted.
func (s *Store) LayerPath(chain digest.Digest) (string, error) {
	return "", exercise.Unwritten("3.5")
}

// AddLayer unpacks a layer unless it is there (then fill is not called). fill gets an
// empty folder and puts into it what the layer changes; it may take long, and
// LayerPath does not find the layer before AddLayer returns. What fill says of folders
// that no entry named is mended by inherit from the layers below, so the parent ("": none)
// must be there when fill returns, and need not be before.
//
// The layer is whole or not there, however this ends: it grows beside its place, in
// layers/HEX.new, and takes its place by one rename. What a killed process left there,
// and at the place what LayerPath does not believe, is removed first. After an error
// nothing is left but the lock's file.
//
// Two processes that want the same do the work once: the second waits for the lock,
// layers/HEX.lock, until ctx ends, and finds the layer. The lock's file is removed
// once the layer is there, before the lock is given back, by each who had to wait for
// it too (lock makes it anew); after an error it stays.
//
// Errors: fill's; ErrNotFound if the parent is not there; ctx.Err(); a digest that
// checkDigest refuses.
// May use: lock (with unix.LOCK_EX), removeTree, makeLayer (makes the folder with its
// fs and notes the parent), s.Lowers (none for ""), inherit.
func (s *Store) AddLayer(ctx context.Context, chain, parent digest.Digest, fill func(dir string) (Applied, error)) error {
	return exercise.Unwritten("3.5")
}

// Mount mounts the snapshot's tree: what is written there goes to Upper. Device
// nodes do not work in it (MS_NODEV). Overlay wants a layer below: for a snapshot on
// nothing that is the store's layers/empty. Whoever mounts it unmounts it.
//
// Errors: ErrNotFound if a layer is missing; that of the mount.
// May use: sn.store.Lowers, sn.Upper(), the folder work in sn.dir(), mountOverlay.
func (sn *Snapshot) Mount(target string) error { return exercise.Unwritten("3.5") }

// MountReadonly mounts a layer and those below it, MS_RDONLY and MS_NODEV. Overlay
// wants two layers where nothing is written to: layers/empty is always the lowest, so
// the tree's root is as the topmost layer's. Of "" there is no tree: the mount of the
// empty one alone fails (EINVAL).
//
// Errors: as Mount's.
func (s *Store) MountReadonly(chain digest.Digest, target string) error {
	return exercise.Unwritten("3.5")
}

// overlayOptions returns the data of mount(2) for these layers, the topmost first;
// upper and work are "" for a tree that nobody writes to. done is called after the
// mount. mountOverlay (overlay.go) calls both.
//
//	overlayOptions([/b /a], /u, /w) → "userxattr,lowerdir=/b:/a,upperdir=/u,workdir=/w"
//	overlayOptions([/a:b /c], "", "") → `userxattr,lowerdir=/a\:b:/c`
//
// userxattr, always: the marks of a deleted or opaque folder are then user.overlay.*
// attributes, which root and an ordinary user write and read alike. ":" parts
// layers, "," options, and "\" takes that meaning away, also from itself; in the names
// of upper and work as well. The data is less than a page (mount(2), os.Getpagesize).
// Where it would be more, byDescriptor names each folder /proc/self/fd/N instead, and
// done closes what it opened.
//
// Errors: ErrTooLarge with the number of layers, if it is a page even so: "300
// layers: …"; a folder that cannot be opened. After an error nothing is open.
//
// Done when: `./lab test 3.5` is green.
func overlayOptions(lower []string, upper, work string) (data string, done func(), err error) {
	return "", nil, exercise.Unwritten("3.5")
}
