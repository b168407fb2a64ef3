package images

import (
	"context"
	"fmt"
	"io"
)

// bound reads r until ctx ends, and not more than max bytes.
func bound(ctx context.Context, r io.Reader, max int64) io.Reader {
	return &bounded{ctx, r, max, max}
}

type bounded struct {
	ctx       context.Context
	r         io.Reader
	left, max int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left < 0 {
		return 0, fmt.Errorf("more than %d bytes: %w", b.max, ErrTooLarge)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	return n, err
}
