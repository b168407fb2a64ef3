package remote

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/opencontainers/go-digest"

	"coracle/03-images"
	"coracle/03-images/registry"
	"coracle/internal/check"
	"coracle/internal/exercise"
)

// benchImage has six layers, some 200 MB in 20,000 files: a third like programs,
// the rest like text. It is the same always.
func benchImage(b *testing.B) *image {
	random := rand.New(rand.NewPCG(3, 6))
	words := make([]string, 5000)
	for i := range words {
		for range 2 + random.IntN(9) {
			words[i] += string(rune('a' + random.IntN(26)))
		}
	}
	content := func(size int) []byte {
		text := make([]byte, 0, size+16)
		if random.IntN(3) == 0 {
			for len(text) < size {
				text = append(text, byte(random.Uint32()), byte(random.Uint32()), 0, 'x')
			}
		}
		for len(text) < size {
			text = append(append(text, words[random.IntN(1+random.IntN(len(words)))]...), ' ')
		}
		return text[:size]
	}
	img := newImage(b, images.HostPlatform())
	config := v1.Image{Platform: images.HostPlatform(), RootFS: v1.RootFS{Type: "layers"}}
	for layer := range 6 {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for folder := range 170 {
			dir := fmt.Sprintf("usr/share/l%d/d%02d/s%02d/", layer, folder/13, folder%13)
			w.WriteHeader(&tar.Header{Name: dir, Mode: 0o755, Typeflag: tar.TypeDir})
			for file := range 20 {
				size := int(random.ExpFloat64() * 9000)
				if random.IntN(300) == 0 {
					size = 300_000
				}
				w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%sfile-%d.txt", dir, file), Mode: 0o644, Size: int64(size), Typeflag: tar.TypeReg})
				w.Write(content(size))
			}
		}
		check.NoError(b, "make a tar", w.Close())
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(buf.Bytes()))
		img.spec.Layers = append(img.spec.Layers, img.add(v1.MediaTypeImageLayerGzip, gzipped(buf.Bytes())))
	}
	img.spec.Config = img.json(b, v1.MediaTypeImageConfig, config)
	img.manifest = img.json(b, v1.MediaTypeImageManifest, img.spec)
	return img
}

// The goal is at most 1.0 of the time that `tar -xzf` takes for the same layers, one
// after another: download, verification, unpacking and the mount together, from our
// registry, which runs in this process and shares its processors. Every round begins
// with an empty store; what is said is the median.
//
//	go test ./03-images/remote -run '^$' -bench Pull -benchtime 5x
func BenchmarkPull(b *testing.B) {
	exercise.NeedAll(b)
	img := benchImage(b)
	served := storeWith(b, img, registry.DefaultName+"/bench:1")
	r := registry.New(served, registry.Options{})
	defer r.Close()
	srv := httptest.NewServer(r)
	defer srv.Close()
	ref, err := Parse(strings.TrimPrefix(srv.URL, "http://") + "/bench:1")
	check.NoError(b, "Parse", err)
	c, _ := newClient(b, Options{})
	var tars, pulls, tarCPU, pullCPU []float64
	for b.Loop() {
		clean := b.TempDir()
		begin, used := time.Now(), cpu(b, unix.RUSAGE_CHILDREN)
		for i, layer := range img.spec.Layers {
			dir := filepath.Join(clean, fmt.Sprint(i))
			check.NoError(b, "make a folder", os.Mkdir(dir, 0o755))
			out, err := exec.Command("tar", "-xzf", served.Blobs().Path(layer.Digest), "-C", dir).CombinedOutput()
			check.NoError(b, "tar: "+string(out), err)
		}
		tars = append(tars, time.Since(begin).Seconds())
		tarCPU = append(tarCPU, cpu(b, unix.RUSAGE_CHILDREN)-used)
		check.NoError(b, "remove", os.RemoveAll(clean))

		s, at := newStore(b), b.TempDir()
		begin, used = time.Now(), cpu(b, unix.RUSAGE_SELF)
		_, err := c.Pull(b.Context(), s, ref, PullOptions{})
		check.NoError(b, "Pull", err)
		read, err := s.Image(ref.String(), images.HostPlatform())
		check.NoError(b, "Image", err)
		sn, err := s.Prepare(b.Context(), "bench", read.Chain())
		check.NoError(b, "Prepare", err)
		check.NoError(b, "Mount", sn.Mount(at))
		pulls = append(pulls, time.Since(begin).Seconds())
		pullCPU = append(pullCPU, cpu(b, unix.RUSAGE_SELF)-used)
		check.NoError(b, "unmount", unix.Unmount(at, 0))
		check.NoError(b, "remove", os.RemoveAll(s.Path()))
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(tars), "tar-s")
	b.ReportMetric(median(pulls), "pull-s")
	b.ReportMetric(median(pulls)/median(tars), "pull/tar")
	b.ReportMetric(median(pullCPU)/median(tarCPU), "pull/tar-CPU")
}

// cpu is the processor time used so far, in seconds: a busy machine changes it less
// than what the clock says.
func cpu(b *testing.B, who int) float64 {
	var u unix.Rusage
	check.NoError(b, "getrusage", unix.Getrusage(who, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
