package images

import (
	"hash"
	"os"
)

// A Writer is a blob on its way into the store. Nobody sees it before Commit.
// One goroutine may use it.
type Writer struct {
	blobs  *Blobs
	want   Descriptor // Digest "": not known yet
	file   *os.File   // nil once it is closed
	hash   hash.Hash  // of what file holds
	size   int64      // bytes that file holds
	unlock func()
}

// Offset returns how many bytes the writer has.
func (w *Writer) Offset() int64 { return w.size }

// Close ends a writer. Without Commit, the file of a known digest stays for the
// next try; one that has no name yet goes. Closing twice is no error.
func (w *Writer) Close() error {
	if w.file != nil {
		if w.want.Digest == "" {
			os.Remove(w.file.Name()) // after Commit there is no such name
		}
		w.file.Close()
		w.file = nil
	}
	w.unlock()
	return nil
}
