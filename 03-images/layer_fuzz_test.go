package images

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// FuzzApply unpacks what may be anything beside a file that must stay as it is. What
// unpacks is a layer: Diff and Apply make the same of it again.
func FuzzApply(f *testing.F) {
	exercise.NeedAll(f)
	for _, c := range hostile {
		f.Add(tarOf(f, outside(c.entries, "/tmp")...), false)
	}
	f.Add(tarOf(f, tarEntry{Name: "./"}, tarEntry{Name: "a/f", Content: "x", Uid: 5, Mode: 0o4755, Xattrs: map[string]string{"user.a": "b"}}, tarEntry{Name: "a/.wh.b"}, tarEntry{Name: "c/.wh..wh..opq"}), true)
	f.Add(tarOf(f, tarEntry{Name: "f"}, tarEntry{Name: "g", Kind: '1', Link: "f"}, tarEntry{Name: "l", Kind: '2', Link: "d"}, tarEntry{Name: "d/"}, tarEntry{Name: "l/x"}), true)
	r, err := Decompress("", bytes.NewReader(terabyte))
	check.NoError(f, "Decompress", err)
	plain, err := io.ReadAll(r)
	check.NoError(f, "read a sparse archive", err)
	f.Add(plain, false)
	f.Fuzz(func(t *testing.T, data []byte, single bool) {
		sandbox.Need(t, overlays)
		owners := storeOwners()
		if single {
			owners = Single
		}
		for _, plain := range []bool{false, true} {
			out := t.TempDir()
			dir := filepath.Join(out, "layer")
			check.NoError(t, "make a folder", os.Mkdir(dir, 0o755))
			putFile(t, filepath.Join(out, "canary"), "untouched")
			o := ApplyOptions{MaxBytes: 1 << 20, MaxEntries: 1000, Owners: owners, Plain: plain}
			_, err := Apply(context.Background(), bytes.NewReader(data), dir, o)
			check.True(t, "the error", err == nil || !strings.Contains(err.Error(), "\n"), check.Error(err), "one line")
			check.Equal(t, "the canary", "canary layer", list(t, out))
			text, rerr := os.ReadFile(filepath.Join(out, "canary"))
			check.NoError(t, "read the canary", rerr)
			check.Equal(t, "the canary", "untouched", string(text))
			if err != nil {
				continue
			}
			got := describe(t, dir, owners, false)
			for _, name := range slices.Sorted(maps.Keys(got)) {
				check.True(t, "what was made", !strings.HasPrefix(got[name], "D"), got[name], "no device")
			}
			var again bytes.Buffer
			check.NoError(t, "Diff of what Apply made", Diff(context.Background(), dir, &again, DiffOptions{Owners: owners}))
			two := t.TempDir()
			_, err = Apply(context.Background(), &again, two, ApplyOptions{Owners: owners})
			check.NoError(t, "Apply of what Diff made of it", err)
			sameTree(t, "what Apply made, and what became of it through Diff and Apply", got, describe(t, two, owners, false))
		}
	})
}

// FuzzDecompress reads what may be anything: it ends, in memory that is bounded.
func FuzzDecompress(f *testing.F) {
	plain := tarOf(f, tarEntry{Name: "f", Content: strings.Repeat("words ", 50)})
	for _, data := range [][]byte{nil, plain, gzipped(f, plain), zstded(f, plain), gzipped(f, plain)[:40], zstded(f, plain)[:40], {0x1f, 0x8b}, {0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff}} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decompress("", bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err != nil && strings.Contains(err.Error(), "\n") {
			t.Error("more than one line:", err)
		}
	})
}
