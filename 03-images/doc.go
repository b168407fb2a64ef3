// Package images keeps container images on disk and makes file systems of them.
//
//	manifest ──▶ config  (what to run, and the layers' diff IDs)
//	   └───────▶ layers  (gzip or zstd of tar: what changed, one after another)
//
//	Blobs    what was shipped, by digest: verified, whole or not there
//	Layers   what was unpacked, by chain ID: once, shared by every mount
//	Snapshot layers under a writable one, mounted as one tree (overlay)
//	Collect  what no image, snapshot or build refers to is removed
//
// A digest names a blob as it is shipped (compressed), a diff ID the tar inside, a
// chain ID a tar and all those below it. Registries speak of the first, configs of
// the second, unpacked layers of the third.
//
// Guarantees:
//   - a blob that can be opened by its digest was complete and true when written,
//     and is on the disk; so is an image that has a name;
//   - a crash at any moment loses no image that was complete; what it leaves half
//     done is found again by who resumes, or collected;
//   - two processes may work on one store: who adds holds the store's lock shared,
//     who collects holds it alone, and a layer that two want is unpacked by one;
//   - nothing that an image says makes a file outside the folder it is unpacked to;
//   - Check, a function that tests call after every kill, finds all of this true.
//
// Caveats: sha256 only; one store on one file system; no foreign layers; device
// nodes are refused. Collect waits for a moment in which nobody adds, and may wait
// long where many do. A tree that is mounted without a snapshot is in use by nobody
// as far as Collect knows: who mounts one holds Share. With a single id, owners are
// kept in an attribute of each file (user.coracle.owner) and not in the file system.
//
// In full size this is containerd: core/content, core/images, core/diff/apply,
// plugins/snapshots/overlay, core/metadata/gc.go.
package images
