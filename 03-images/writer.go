package images

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"path/filepath"
)

// A Writer is a blob on its way into the store. Nobody sees it before Commit.
// One goroutine may use it.
type Writer struct {
	blobs  *Blobs
	want   Descriptor // Digest "": not known yet, and neither is the size, -1
	file   *os.File   // nil once it is closed
	hash   hash.Hash  // of what file holds
	size   int64      // bytes that file holds
	unlock func()     // nil: nobody else knows of the file
}

// unnamed begins a blob whose digest nobody knows yet, in a file of its own.
func (b *Blobs) unnamed(mediaType string) (*Writer, error) {
	f, err := os.CreateTemp(filepath.Join(b.dir, "ingest"), "new-*")
	if err != nil {
		return nil, fmt.Errorf("new blob: %w", err)
	}
	return &Writer{blobs: b, want: Descriptor{MediaType: mediaType, Size: -1}, file: f, hash: sha256.New()}, nil
}

// Offset returns how many bytes the writer has.
func (w *Writer) Offset() int64 { return w.size }

// Close ends a writer and gives the lock back. Without Commit, the file of a known
// digest stays for the next try; one that has no name yet goes. Closing twice is no
// error.
func (w *Writer) Close() error {
	if w.file != nil {
		if w.want.Digest == "" {
			os.Remove(w.file.Name()) // after Commit there is no such name
		}
		w.file.Close()
		w.file = nil
	}
	if w.unlock != nil {
		if w.blobs.Has(w.want.Digest) { // whoever waits for the lock finds the blob
			os.Remove(w.blobs.lockFile(w.want.Digest))
		}
		w.unlock()
		w.unlock = nil
	}
	return nil
}
