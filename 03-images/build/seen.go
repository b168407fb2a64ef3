package build

import (
	"fmt"
	"hash/maphash"
	"io"
	"iter"
)

// A seen is what was read of a source, as one number. A COPY reads its sources twice,
// for the key and for the copy; where the two numbers differ, what was copied is not
// what the key says, and must not be found by it.
//
// It is a sum, so that it does not matter in which order Checksum opens what it finds.
// The hash is no cryptographic one, which would cost as much as the key's own: its
// seed is another in each process, so that nobody can aim at it.
type seen struct {
	seed maphash.Seed
	sum  uint64
}

// entries notes each entry that goes by.
func (s *seen) entries(list iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range list {
			if err == nil {
				s.note(e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s *seen) note(e Entry) {
	s.sum += maphash.String(s.seed, fmt.Sprintf("%q %v %d %d %q %q", e.Path, e.Mode, e.UID, e.GID, e.Xattrs, e.Link))
}

// open notes what is read of the files that it opens, once they are closed.
func (s *seen) open(t *Tree) func(Entry) (io.ReadCloser, error) {
	return func(e Entry) (io.ReadCloser, error) {
		r, err := t.Open(e)
		if err != nil {
			return nil, err
		}
		f := &seenFile{ReadCloser: r, by: s}
		f.hash.SetSeed(s.seed)
		f.hash.WriteString(e.Path + "\x00")
		return f, nil
	}
}

type seenFile struct {
	io.ReadCloser
	by   *seen
	hash maphash.Hash
}

func (f *seenFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.hash.Write(p[:n])
	return n, err
}

func (f *seenFile) Close() error {
	f.by.sum += f.hash.Sum64()
	return f.ReadCloser.Close()
}
