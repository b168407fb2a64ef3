package images

import (
	"context"
	"io"

	"coracle/internal/exercise"
)

// Exercise 3.1: content-addressed blobs, atomic and verified
//
// A blob's name is the hash of its bytes. So it cannot change, two images that share
// a layer share the file, and whoever has the name can tell the true bytes from false
// ones. That holds only as long as nobody sees half a blob under a whole one's name:
//
//	          Create ──lock──▶ ingest/HEX.lock
//	          Write  ────────▶ ingest/HEX        grows; stays when the writer breaks off
//	          Commit: size and digest are right? no ──▶ removed
//	             │ yes
//	fsync, rename(2), fsync of the folder ──▶ blobs/sha256/HEX
//
// A name that appears by rename(2) is there whole or not at all. After a power loss
// it may be there without its bytes, unless they were on the disk first (fsync(2)).
//
// Spec: image-spec, descriptor.md, "Digests" and "Verification"; rename(2), fsync(2),
// flock(2).
//
// Delete this line when you start:
var _ = todo("3.1")

// Create begins a blob, or goes on with it. One whose digest is known grows in
// b.ingest (mode 0600, as unnamed's) and belongs to one writer at a time, by the lock of b.lockFile: the second
// waits, until ctx ends. It waits in other processes too, and for that blob alone.
// What an earlier try left in the file is kept, counts as written, and is what Offset
// tells the caller to go on after. If it is more than want.Size, it is no beginning of
// this blob, and Create starts over with nothing, in the file too.
//
// A want.Size below 0 is not known: then whatever came before is kept. Where want.Digest is "" neither is, and the file
// has no name that another could ask for: unnamed begins it.
//
//	Create of 16 bytes, of which 7 came before → w.Offset() == 7
//
// Errors: fs.ErrExist if the blob is there, also if it was not yet when the waiting
// began; a digest that is not sha256 (it becomes a file's name); what lock returns
// when ctx ends. With an error nothing stays locked.
// May use: unnamed, checkDigest, lock (with unix.LOCK_EX), b.Has; the fields of Writer
// (writer.go), w.Close, which gives the lock back.
func (b *Blobs) Create(ctx context.Context, want Descriptor) (*Writer, error) {
	return nil, exercise.Unwritten("3.1")
}

// Write adds bytes at the end, and to the hash.
//
// Errors: ErrTooLarge, and nothing is written, if it would be more than a want.Size
// that is known. os.ErrClosed, after Close or Commit.
func (w *Writer) Write(p []byte) (int, error) {
	return 0, exercise.Unwritten("3.1")
}

// Commit puts the blob in its place, w.blobs.Path of what its digest really is: after
// it, the blob is there whole, and would be after a power loss. It returns what came:
// digest, size, and want's media type. Whatever happens, it ends the writer: nothing
// of its own stays in ingest/ once the blob is there (what an earlier try left there of
// a blob that came without a digest now, Collect removes), and who waits for it goes on.
//
// Errors: ErrMismatch, naming what came and what was wanted, if digest or size (each
// where it is known) differ. The partial file is then gone: nothing good can come of
// it. So is it after a failed fsync, which says only once what did not reach the disk.
// os.ErrClosed, after Close or another Commit.
// May use: mismatch, syncDir, w.Close; digest.NewDigest.
func (w *Writer) Commit() (Descriptor, error) {
	return Descriptor{}, exercise.Unwritten("3.1")
}

// Open opens a blob to read it. Every byte is verified on the way, for disks and
// people change files: where size or digest are not d's, the read that would complete
// the blob, at the last byte that d.Size says or at the end of the file, returns
// ErrMismatch instead of its bytes. So nobody ever has all of a false blob, also not
// who reads d.Size bytes and stops. A file longer than d.Size is false, even if it
// begins well. A d.Size below 0 is not known: the last bytes are given only once it has
// been seen that they are the last, so read ahead, or ask for the file's size.
//
//	16 bytes, the first of them altered, io.ReadFull of 16 → ErrMismatch
//
// Errors: ErrNotFound, also for a digest that is none.
// May use: b.Path, which is safe for any digest; notFound, mismatch.
//
// Done when: `./lab test 3.1` is green.
func (b *Blobs) Open(d Descriptor) (io.ReadCloser, error) {
	return nil, exercise.Unwritten("3.1")
}
