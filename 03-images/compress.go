package images

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxWindow is how much of what it wrote a zstd decoder must remember. The encoder
// chooses it; `zstd --ultra -22` takes four times as much.
const maxWindow = 32 << 20

// kinds are the ways that a layer is packed, by their first bytes.
var kinds = []struct {
	name  string
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error)
}{
	{"gzip", []byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }}, // RFC 1952, 2.3.1
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},                                                  // RFC 8878, 3.1.1
	{"zstd", []byte{0x50, 0x2a, 0x4d, 0x18}, openZstd},                                                  // 3.1.2, a frame to skip (zstd:chunked begins with data, but who knows)
}

// Decompress undoes what a layer was packed with, which its first bytes say. A media
// type that says something else is an error; "" says nothing. Memory is bounded,
// what comes out is not: that is Apply's business. Close does not close r.
func Decompress(mediaType string, r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	first, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	is, open := "not packed", func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(r), nil }
	for _, k := range kinds {
		if bytes.HasPrefix(first, k.magic) {
			is, open = k.name, k.open
			break
		}
	}
	if says := packed(mediaType); says != "" && says != is {
		return nil, fmt.Errorf("layer: its media type says that it is %s (%s), its first bytes that it is %s", says, mediaType, is)
	}
	out, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("layer: %s: %w", is, err)
	}
	return &named{out, is}, nil
}

// packed returns how a media type says that a layer is packed, "" if it says nothing.
func packed(mediaType string) string {
	switch mediaType {
	case v1.MediaTypeImageLayer, "application/vnd.docker.image.rootfs.diff.tar":
		return "not packed"
	case "":
		return ""
	}
	for _, end := range []string{"gzip", "zstd"} {
		if strings.HasSuffix(mediaType, "+"+end) || strings.HasSuffix(mediaType, "."+end) {
			return end
		}
	}
	return ""
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// named says in an error what it was that could not be undone.
type named struct {
	io.ReadCloser
	is string
}

func (n *named) Read(p []byte) (int, error) {
	m, err := n.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", n.is, err)
	}
	return m, err
}

// newGzip packs without a name or a time, so that the same bytes give the same bytes.
func newGzip(w io.Writer) *gzip.Writer { return gzip.NewWriter(w) }
