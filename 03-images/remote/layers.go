package remote

import (
	"context"
	"io"
	"sync"

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

// buffer is how far a download may run ahead of who unpacks it. Of a smaller layer
// min(buffer, max(d.Size, 1)) is enough: an image may have a hundred.
const buffer = 4 << 20

func (o PullOptions) report(d Descriptor, stage images.Stage, done int64) {
	if o.Progress != nil {
		o.Progress(images.Event{Digest: d.Digest, Stage: stage, Done: done, Total: d.Size})
	}
}

// download writes a layer's bytes, from byte `from` on, as they come. Nothing is
// verified, and nothing is committed.
func (c *Client) download(ctx context.Context, ref Reference, d Descriptor, from int64, to io.Writer, o PullOptions) error {
	body, err := c.blob(ctx, ref, d, from)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.CopyBuffer(to, o.count(body, d, from), make([]byte, 256<<10))
	return err
}

// count reports how much of a download has come, `from` bytes of it before.
func (o PullOptions) count(r io.ReadCloser, d Descriptor, from int64) io.Reader {
	if o.Progress == nil {
		return r
	}
	return &counted{r, images.Event{Digest: d.Digest, Stage: images.Download, Done: from, Total: d.Size}, o.Progress}
}

// A stack is the layers of an image on their way: so many at once, and none is done
// before the one below it.
type stack struct {
	slots chan struct{}
	there []chan struct{} // closed once the layer is there
}

func newStack(layers, atOnce int) *stack {
	s := &stack{make(chan struct{}, atOnce), make([]chan struct{}, layers)}
	for i := range s.there {
		s.there[i] = make(chan struct{})
	}
	return s
}

// slot waits until one more layer may be on its way; once ctx has ended none may. free
// gives the slot back, to be called once or more. Slots are taken in the order of the
// layers, the lowest first: whoever waits for a layer below then waits for one that
// has begun.
func (s *stack) slot(ctx context.Context) (free func(), err error) {
	select {
	case s.slots <- struct{}{}:
		free = sync.OnceFunc(func() { <-s.slots })
		if ctx.Err() == nil { // else select took either
			return free, nil
		}
		free()
	case <-ctx.Done():
	}
	return func() {}, context.Cause(ctx)
}

// done says that layer i is there.
func (s *stack) done(i int) { close(s.there[i]) }

// parent waits for the layer below layer i; below the lowest there is none.
func (s *stack) parent(ctx context.Context, i int) error {
	if i == 0 {
		return nil
	}
	select {
	case <-s.there[i-1]:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
