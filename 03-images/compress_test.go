package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func gzipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := newGzip(&b)
	_, err := w.Write(data)
	check.NoError(t, "gzip", err)
	check.NoError(t, "gzip", w.Close())
	return b.Bytes()
}

func zstded(t testing.TB, data []byte, o ...zstd.EOption) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, o...)
	check.NoError(t, "zstd", err)
	_, err = w.Write(data)
	check.NoError(t, "zstd", err)
	check.NoError(t, "zstd", w.Close())
	return b.Bytes()
}

func TestDecompress(t *testing.T) {
	plain := tarOf(t, tarEntry{Name: "f", Content: strings.Repeat("many words ", 10_000)})
	gz, zst := gzipped(t, plain), zstded(t, plain)
	skip := append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}, zst...)
	const docker = "application/vnd.docker.image.rootfs.diff.tar"
	for _, c := range []struct {
		did, mediaType string
		data, want     []byte
	}{
		{"gzip", v1.MediaTypeImageLayerGzip, gz, plain}, {"gzip of Docker", docker + ".gzip", gz, plain}, {"gzip of nobody knows whom", "", gz, plain},
		{"two gzip members", v1.MediaTypeImageLayerGzip, append(bytes.Clone(gz), gz...), append(bytes.Clone(plain), plain...)},
		{"zstd", v1.MediaTypeImageLayerZstd, zst, plain}, {"zstd after a frame to skip", "", skip, plain},
		{"a plain tar", v1.MediaTypeImageLayer, plain, plain}, {"a plain tar of Docker", docker, plain, plain}, {"a plain tar of nobody knows whom", "", plain, plain},
		{"nothing", "", nil, []byte{}},
	} {
		r, err := Decompress(c.mediaType, bytes.NewReader(c.data))
		check.NoError(t, "Decompress of "+c.did, err)
		got, err := io.ReadAll(r)
		check.NoError(t, "read "+c.did, err)
		check.True(t, "Decompress of "+c.did, bytes.Equal(c.want, got), fmt.Sprintf("%d bytes", len(got)), fmt.Sprintf("%d bytes", len(c.want)))
		check.NoError(t, "Close", r.Close())
	}
	for _, c := range []struct {
		did, mediaType string
		data           []byte
		says           []string
	}{
		{"gzip that is called zstd", v1.MediaTypeImageLayerZstd, gz, []string{"zstd", "gzip"}},
		{"zstd that is called gzip", docker + ".gzip", zst, []string{"zstd", "gzip"}},
		{"gzip that is called plain", v1.MediaTypeImageLayer, gz, []string{"not packed", "gzip"}},
		{"a plain tar that is called gzip", v1.MediaTypeImageLayerGzip, plain, []string{"not packed", "gzip"}},
		{"nothing that is called gzip", v1.MediaTypeImageLayerGzip, nil, []string{"not packed", "gzip"}},
		{"half a gzip header", "", gz[:5], []string{"gzip"}},
	} {
		_, err := Decompress(c.mediaType, bytes.NewReader(c.data))
		check.ErrorHas(t, "Decompress of "+c.did, err, c.says)
	}
	for did, data := range map[string][]byte{"gzip that breaks off": gz[:len(gz)/2], "zstd that breaks off": zst[:len(zst)/2], "gzip with a wrong checksum": append(gz[:len(gz)-8:len(gz)-8], make([]byte, 8)...)} {
		r, err := Decompress("", bytes.NewReader(data))
		check.NoError(t, "Decompress of "+did, err)
		_, err = io.Copy(io.Discard, r)
		check.ErrorHas(t, "read "+did, err, []string{did[:4]})
	}
}

// A frame may ask for a memory of terabytes; it says so in its header (RFC 8878, 3.1.1.1.2).
func TestDecompress_Window(t *testing.T) {
	within := zstded(t, bytes.Repeat([]byte("x"), 9<<20), zstd.WithWindowSize(maxWindow), zstd.WithSingleSegment(false))
	r, err := Decompress("", bytes.NewReader(within))
	check.NoError(t, "Decompress", err)
	n, err := io.Copy(io.Discard, r)
	check.NoError(t, "read with the largest window that is allowed", err)
	check.Equal(t, "bytes", int64(9<<20), n)

	magic := binary.LittleEndian.AppendUint32(nil, 0xfd2fb528)
	last := []byte{1, 0, 0} // an empty last block
	for did, header := range map[string][]byte{
		"a window of 128 MiB":                  {0, (27 - 10) << 3},
		"a window of two terabytes":            {0, (41 - 10) << 3},
		"a window as large as all, a gigabyte": {0xe0, 0, 0, 0, 0x40, 0, 0, 0, 0},
	} {
		r, err := Decompress("", bytes.NewReader(slices.Concat(magic, header, last)))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		check.ErrorHas(t, did, err, []string{"zstd", "exceed"})
	}
}

// A bomb does no harm: nobody reads more of it than is allowed.
func TestDecompress_Bomb(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check.NoError(t, "gzip", err)
	_, err = w.Write(tarOf(t, tarEntry{Name: "f", Content: strings.Repeat("\x00", 64<<20)}))
	check.NoError(t, "gzip", err)
	check.NoError(t, "gzip", w.Close())
	r, err := Decompress("", &b)
	check.NoError(t, "Decompress", err)
	dir := t.TempDir()
	_, err = Apply(context.Background(), r, dir, ApplyOptions{MaxBytes: 1 << 20, Owners: storeOwners()})
	check.ErrorIs(t, "Apply of a bomb", err, ErrTooLarge)
	check.True(t, "what is left of it", len(describe(t, dir, Kernel, false)) == 1, "a file", "nothing")
}

func TestCommitLayer(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	s := newStore(t)
	dir := t.TempDir()
	putFile(t, dir+"/a/f", "content")
	layer, diffID, err := s.CommitLayer(context.Background(), dir, DiffOptions{Owners: s.Owners()})
	check.NoError(t, "CommitLayer", err)
	check.Equal(t, "its media type", v1.MediaTypeImageLayerGzip, layer.MediaType)
	again, _, err := s.CommitLayer(context.Background(), dir, DiffOptions{Owners: s.Owners()})
	check.NoError(t, "CommitLayer again", err)
	check.Equal(t, "the same folder's digest again", layer.Digest, again.Digest)

	blob, err := s.Blobs().Open(layer)
	check.NoError(t, "Open", err)
	defer blob.Close()
	plain, err := Decompress(layer.MediaType, blob)
	check.NoError(t, "Decompress", err)
	h := sha256.New()
	other := t.TempDir()
	_, err = Apply(context.Background(), io.TeeReader(plain, h), other, ApplyOptions{Owners: s.Owners()})
	check.NoError(t, "Apply", err)
	check.Equal(t, "the diff ID", digest.NewDigest(digest.SHA256, h), diffID)
	sameTree(t, "the folder, and what its layer holds", describe(t, dir, s.Owners(), true), describe(t, other, s.Owners(), true))
	check.Equal(t, "what is left in ingest", "", list(t, s.Path("ingest")))
}
