package remote

import (
	"context"
	"io"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/03-images"
)

// PullOptions are the zero value for most.
type PullOptions struct {
	Platform *v1.Platform // of an index, the image for it; nil: this machine's
	Parallel int          // layers on their way at once; 0: three
	Progress images.Progress
}

func (o PullOptions) platform() v1.Platform {
	if o.Platform != nil {
		return *o.Platform
	}
	return images.HostPlatform()
}

// buffer is how far a download may run ahead of who unpacks it.
const buffer = 4 << 20

func (o PullOptions) report(d Descriptor, stage images.Stage, done int64) {
	if o.Progress != nil {
		o.Progress(images.Event{Digest: d.Digest, Stage: stage, Done: done, Total: d.Size})
	}
}

// count reports how much of a download has come, `from` bytes of it before.
func (o PullOptions) count(r io.ReadCloser, d Descriptor, from int64) io.Reader {
	if o.Progress == nil {
		return r
	}
	return &counted{r, images.Event{Digest: d.Digest, Stage: images.Download, Done: from, Total: d.Size}, o.Progress}
}

// stack says which layers of an image are unpacked, so that others can wait.
type stack struct {
	layers []Descriptor
	there  []chan struct{} // closed once the layer is
}

func newStack(layers []Descriptor) *stack {
	s := &stack{layers, make([]chan struct{}, len(layers))}
	for i := range s.there {
		s.there[i] = make(chan struct{})
	}
	return s
}

// done says that layer i is there.
func (s *stack) done(i int) { close(s.there[i]) }

// parent waits for the layer below layer i.
func (s *stack) parent(ctx context.Context, i int) error { return s.wait(ctx, i-1) }

// twin waits for a lower layer that is the same blob: an image may have one twice,
// and only one can download it.
func (s *stack) twin(ctx context.Context, i int) error {
	return s.wait(ctx, slices.IndexFunc(s.layers[:i], func(d Descriptor) bool { return d.Digest == s.layers[i].Digest }))
}

func (s *stack) wait(ctx context.Context, i int) error {
	if i < 0 {
		return nil
	}
	select {
	case <-s.there[i]:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
