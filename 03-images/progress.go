package images

import "github.com/opencontainers/go-digest"

// An Event is progress on one blob. Done and Total are bytes; Total is -1 where
// nobody knows it.
type Event struct {
	Digest      digest.Digest
	Stage       Stage
	Done, Total int64
}

// A Stage is what is done to a blob.
type Stage string

const (
	Exists   Stage = "exists" // it, and what is made of it, is here already
	Download Stage = "download"
	Upload   Stage = "upload"
	Unpack   Stage = "unpack"
	Ready    Stage = "ready"
)

// Progress is called from several goroutines; nil is allowed where it is taken.
type Progress func(Event)

func (p Progress) send(e Event) {
	if p != nil {
		p(e)
	}
}
