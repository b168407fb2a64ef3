package images

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func init() {
	// unpack unpacks an image and says how much memory that took at most. (What wait4(2)
	// says of a child begins with its parent's.)
	helpers["unpack"] = func(arg ...string) error {
		owners := Kernel
		if arg[2] == "single" {
			owners = Single
		}
		s, err := Open(arg[0], owners)
		if err != nil {
			return err
		}
		img, err := s.Image(arg[1], HostPlatform())
		if err == nil {
			_, err = s.Unpack(context.Background(), img, nil)
		}
		if err != nil {
			return err
		}
		status, err := os.Open("/proc/self/status")
		if err != nil {
			return err
		}
		defer status.Close()
		for lines := bufio.NewScanner(status); lines.Scan(); {
			if kib, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok { // proc_pid_status(5)
				fmt.Println(strings.TrimSpace(strings.TrimSuffix(kib, "kB")))
			}
		}
		return nil
	}
}

// benchLayers makes some 200 MB in 20,000 files, in six layers, always the same. Text
// is of words and of phrases that come again, programs are of instructions with an
// operand here and there; gzip's fastest level makes a bit more than half of it.
func benchLayers(b *testing.B) (layers [][]byte) {
	random := rand.New(rand.NewPCG(3, 3))
	vocabulary := func(n, least, most int, letter func() byte) (all [][]byte) {
		for range n {
			word := make([]byte, least+random.IntN(most-least))
			for i := range word {
				word[i] = letter()
			}
			all = append(all, word)
		}
		return all
	}
	pick := func(all [][]byte) []byte { return all[random.IntN(1+random.IntN(len(all)))] } // the first ones more often
	words := vocabulary(5000, 2, 11, func() byte { return 'a' + byte(random.IntN(26)) })
	instructions := vocabulary(3000, 3, 12, func() byte { return byte(random.Uint32()) })
	phrases := make([][]byte, 3000)
	for i := range phrases {
		for range 4 + random.IntN(8) {
			phrases[i] = append(append(phrases[i], pick(words)...), ' ')
		}
	}
	content := func(size int) string {
		text := make([]byte, 0, size+128)
		program := random.IntN(3) == 0
		for len(text) < size {
			switch {
			case program && random.IntN(4) == 0:
				text = append(text, byte(random.Uint32()))
			case program:
				text = append(text, pick(instructions)...)
			case random.IntN(3) == 0:
				text = append(text, pick(phrases)...)
			default:
				text = append(append(text, pick(words)...), ' ')
			}
		}
		return string(text[:size])
	}
	for layer := range 6 {
		var entries []tarEntry
		for folder := range 170 {
			dir := fmt.Sprintf("usr/share/l%d/d%02d/s%02d/", layer, folder/13, folder%13)
			entries = append(entries, tarEntry{Name: dir})
			for file := range 20 {
				size := int(random.ExpFloat64() * 9000)
				if random.IntN(300) == 0 {
					size = 300_000
				}
				entries = append(entries, tarEntry{Name: fmt.Sprintf("%sfile-%d.txt", dir, file), Content: content(size), Time: 1e9})
			}
		}
		layers = append(layers, tarOf(b, entries...))
	}
	return layers
}

// The goal is at most 0.75 of the time that `tar -xzf` takes for the same layers, one
// after another, with less than 100 MB of memory. Every round unpacks with all of
// them, into fresh folders; what is said is the median of the rounds.
//
//	go test ./03-images -run '^$' -bench Unpack -benchtime 5x
func BenchmarkUnpack(b *testing.B) {
	exercise.NeedAll(b)
	sandbox.Need(b, overlays)
	s := newStore(b)
	img := putImage(b, s, "bench", benchLayers(b)...)
	var packed int64
	for _, layer := range img.Layers {
		packed += layer.Size
	}
	_, err := exec.LookPath("umoci")
	var ours, tars, umocis, ourCPU, tarCPU, memory []float64
	cpu := func(cmd *exec.Cmd) float64 {
		return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	for b.Loop() {
		clean := b.TempDir()
		begin, used := time.Now(), 0.0
		for i, layer := range img.Layers {
			dir := filepath.Join(clean, fmt.Sprint(i))
			check.NoError(b, "make a folder", os.Mkdir(dir, 0o755))
			cmd := exec.Command("tar", "-xzf", s.Blobs().Path(layer.Digest), "-C", dir)
			out, err := cmd.CombinedOutput()
			check.NoError(b, "tar: "+string(out), err)
			used += cpu(cmd)
		}
		tars, tarCPU = append(tars, time.Since(begin).Seconds()), append(tarCPU, used)
		check.NoError(b, "remove", os.RemoveAll(clean))

		begin = time.Now()
		cmd := another(b.Context(), "unpack", s.dir, "bench", string(sandbox.CurrentMode()))
		out, err2 := cmd.Output()
		ours, ourCPU = append(ours, time.Since(begin).Seconds()), append(ourCPU, cpu(cmd))
		check.NoError(b, "unpack", err2)
		var kib float64
		_, err2 = fmt.Sscan(string(out), &kib)
		check.NoError(b, "what unpack said", err2)
		memory = append(memory, kib*1024/1e6)
		check.NoError(b, "remove", os.RemoveAll(s.Path("layers")))
		check.NoError(b, "make it again", os.Mkdir(s.Path("layers"), 0o755))

		if err == nil {
			dir := b.TempDir()
			begin = time.Now()
			out, err := exec.Command("umoci", "raw", "unpack", "--image", s.dir+":bench", filepath.Join(dir, "rootfs")).CombinedOutput()
			check.NoError(b, "umoci: "+string(out), err)
			umocis = append(umocis, time.Since(begin).Seconds())
			check.NoError(b, "remove", os.RemoveAll(dir)) // the sandbox's tmpfs has a gigabyte
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(tars), "tar-s")
	b.ReportMetric(median(ours), "ours-s")
	b.ReportMetric(median(ours)/median(tars), "ours/tar")
	b.ReportMetric(median(ourCPU)/median(tarCPU), "ours/tar-CPU") // what a busy machine changes less
	b.ReportMetric(slices.Max(memory), "MB-RSS")
	b.ReportMetric(float64(packed)/1e6, "MB-packed")
	if len(umocis) > 0 {
		b.ReportMetric(median(umocis)/median(tars), "umoci/tar")
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
