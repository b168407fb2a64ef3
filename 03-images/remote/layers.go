package remote

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
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

// readConfig reads a manifest and fetches the config that it names: what is inside
// the layers, and the config's bytes, to be kept.
func (c *Client) readConfig(ctx context.Context, ref Reference, d Descriptor, manifest []byte) (m *v1.Manifest, diffIDs []digest.Digest, config []byte, err error) {
	if m, err = images.ParseManifest(d.MediaType, manifest); err != nil {
		return nil, nil, nil, err
	}
	if config, err = c.small(ctx, ref, m.Config); err != nil {
		return nil, nil, nil, err
	}
	image, err := images.ParseConfig(m, config)
	if err != nil {
		return nil, nil, nil, err
	}
	return m, image.RootFS.DiffIDs, config, nil
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

// A stack says which layers of an image are unpacked, so that those above can wait.
type stack []chan struct{} // closed once the layer is there

func newStack(layers int) stack {
	s := make(stack, layers)
	for i := range s {
		s[i] = make(chan struct{})
	}
	return s
}

// done says that layer i is there.
func (s stack) done(i int) { close(s[i]) }

// parent waits for the layer below layer i.
func (s stack) parent(ctx context.Context, i int) error {
	if i == 0 {
		return nil
	}
	select {
	case <-s[i-1]:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
