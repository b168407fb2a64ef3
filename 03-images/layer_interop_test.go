package images

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// tool runs another program, or skips the test where it is not.
func tool(t testing.TB, name string, arg ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s%s; provide it with: apt-get install %s", sandbox.Cannot, err, name)
	}
	out, err := exec.Command(name, arg...).CombinedOutput()
	check.NoError(t, name+" "+strings.Join(arg, " ")+": "+string(out), err)
}

// someTree has all that GNU tar can keep and an ordinary user can make.
func someTree(t testing.TB) string {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	check.NoError(t, "chmod", os.Chmod(dir, 0o755))
	putFile(t, at("etc/f"), "content")
	putFile(t, at("long/"+strings.Repeat("folder/", 30)+strings.Repeat("n", 120)), "long")
	putFile(t, at("grün\t\"'\nß"), "odd")
	putFile(t, at("bytes\xff/\xfe"), "not UTF-8")
	putFile(t, at("bin/su"), strings.Repeat("0123456789", 20_000))
	check.NoError(t, "chmod", unix.Chmod(at("bin/su"), 0o6755))
	check.NoError(t, "chmod", unix.Chmod(at("etc"), 0o1711))
	check.NoError(t, "link", os.Link(at("etc/f"), at("etc/g")))
	check.NoError(t, "link", os.Symlink(strings.Repeat("../", 50)+"x", at("l")))
	check.NoError(t, "make a fifo", unix.Mkfifo(at("pipe"), 0o640))
	holes, err := os.Create(at("holes"))
	check.NoError(t, "make a sparse file", err)
	for _, off := range []int64{100_000, 300_000} {
		_, err = holes.WriteAt([]byte("data"), off)
		check.NoError(t, "write", err)
	}
	check.NoError(t, "end with a hole", holes.Truncate(400_000))
	check.NoError(t, "close", holes.Close())
	age(t, dir, 1_234_567_890)
	return dir
}

// What GNU tar packs, in each of its formats, Apply unpacks; what Diff packs, GNU tar unpacks.
func TestInterop_GNUTar(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	if out, _ := exec.Command("tar", "--version").Output(); !strings.Contains(string(out), "GNU tar") {
		t.Skip(sandbox.Cannot + "GNU tar: provide it with: apt-get install tar")
	}
	dir := someTree(t)
	want := describe(t, dir, Kernel, true)
	for _, arg := range [][]string{{"--format=gnu"}, {"--format=pax"}, {"--format=gnu", "-S"}, {"--format=pax", "-S"}, {"--format=pax", "-S", "--sparse-version=0.1"}, {"--format=oldgnu", "-b1"}} {
		file := filepath.Join(t.TempDir(), "tar")
		tool(t, "tar", append(append([]string{"-cf", file, "-C", dir}, arg...), ".")...)
		f, err := os.Open(file)
		check.NoError(t, "open", err)
		defer f.Close()
		plain, err := Decompress("", f)
		check.NoError(t, "Decompress", err)
		got := t.TempDir()
		_, err = Apply(context.Background(), plain, got, ApplyOptions{Owners: storeOwners()})
		check.NoError(t, "Apply of tar "+strings.Join(arg, " "), err)
		sameTree(t, "tar "+strings.Join(arg, " "), want, describe(t, got, storeOwners(), true))
	}

	check.NoError(t, "set an attribute", unix.Setxattr(filepath.Join(dir, "etc/f"), "user.a", []byte("1"), 0))
	age(t, dir, 1_234_567_890)
	layer := filepath.Join(t.TempDir(), "layer")
	check.NoError(t, "write the layer", os.WriteFile(layer, diff(t, dir, DiffOptions{}), 0o644))
	got := t.TempDir()
	tool(t, "tar", "-xpf", layer, "--xattrs", "--xattrs-include=user.*", "-C", got)
	sameTree(t, "Diff, then tar -x", describe(t, dir, Kernel, true), describe(t, got, Kernel, true))
}

// umoci unpacks an image with a layer of ours to what overlay shows, and Apply
// unpacks what umoci made of changes.
func TestInterop_Umoci(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	if storeOwners() == Single {
		t.Skip(sandbox.Cannot + "a range of ids, which umoci needs to unpack other owners; ./lab doctor says how to get one")
	}
	base := []tarEntry{{Name: "./"}, {Name: "etc/"}, {Name: "etc/keep", Uid: 5, Gid: 6, Xattrs: map[string]string{"user.a": "b"}}, {Name: "etc/gone"}, {Name: "all/"}, {Name: "all/old"},
		{Name: "anew/"}, {Name: "anew/old"}, {Name: "su", Mode: 0o4755, Content: "x"}}
	lower, upper := t.TempDir(), t.TempDir()
	apply(t, lower, ApplyOptions{}, base...)
	merged := overlay(t, []string{lower}, upper)
	change := func(dir string) {
		check.NoError(t, "remove", os.Remove(filepath.Join(dir, "etc/gone")))
		check.NoError(t, "remove", os.RemoveAll(filepath.Join(dir, "all")))
		check.NoError(t, "remove", os.RemoveAll(filepath.Join(dir, "anew")))
		putFile(t, filepath.Join(dir, "anew/new"), "new")
		putFile(t, filepath.Join(dir, "etc/one"), "one")
		check.NoError(t, "link", os.Link(filepath.Join(dir, "etc/one"), filepath.Join(dir, "etc/two")))
		check.NoError(t, "link", os.Symlink("one", filepath.Join(dir, "etc/three")))
		check.NoError(t, "chown", os.Lchown(filepath.Join(dir, "etc/three"), 7, 8))
		check.NoError(t, "chown", os.Lchown(filepath.Join(dir, "etc/keep"), 9, 9))
	}
	change(merged)
	s := newStore(t)
	putImage(t, s, "one", tarOf(t, base...))
	putImage(t, s, "two", tarOf(t, base...), diff(t, upper, DiffOptions{}))
	want := describe(t, merged, Kernel, false)
	bundle := filepath.Join(t.TempDir(), "bundle")
	tool(t, "umoci", "unpack", "--image", s.dir+":two", bundle)
	sameTree(t, "what umoci unpacks", want, describe(t, filepath.Join(bundle, "rootfs"), Kernel, false))

	bundle = filepath.Join(t.TempDir(), "bundle")
	tool(t, "umoci", "unpack", "--image", s.dir+":one", bundle)
	change(filepath.Join(bundle, "rootfs"))
	tool(t, "umoci", "repack", "--image", s.dir+":three", bundle)
	three, err := s.Tagged("three")
	check.NoError(t, "what umoci wrote", err)
	layers := layersOf(t, s, three)
	check.Equal(t, "layers", 2, len(layers))
	theirs := []string{t.TempDir(), t.TempDir()}
	for i, layer := range layers {
		_, err := Apply(context.Background(), unpacked(t, s, layer), theirs[i], ApplyOptions{})
		check.NoError(t, "Apply of what umoci packed", err)
	}
	sameTree(t, "what umoci packed", want, describe(t, overlay(t, []string{theirs[1], theirs[0]}, ""), Kernel, false))
}

// skopeo packs the same layer with zstd.
func TestInterop_SkopeoZstd(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t, overlays)
	s := newStore(t)
	dir := someTree(t)
	layer := diff(t, dir, DiffOptions{})
	putImage(t, s, "one", layer)
	plain := "dir:" + filepath.Join(t.TempDir(), "plain")
	tool(t, "skopeo", "--insecure-policy", "--tmpdir", t.TempDir(), "copy", "--dest-decompress", "oci:"+s.dir+":one", plain)
	tool(t, "skopeo", "--insecure-policy", "--tmpdir", t.TempDir(), "copy", "--dest-compress-format", "zstd", plain, "oci:"+s.dir+":two")
	two, err := s.Tagged("two")
	check.NoError(t, "what skopeo wrote", err)
	theirs := layersOf(t, s, two)[0]
	check.Equal(t, "the media type", v1.MediaTypeImageLayerZstd, theirs.MediaType)
	got, err := io.ReadAll(unpacked(t, s, theirs))
	check.NoError(t, "Decompress", err)
	check.True(t, "the layer that skopeo packed with zstd", bytes.Equal(got, layer), "other bytes", "the same bytes")
}

func layersOf(t testing.TB, s *Store, manifest Descriptor) []Descriptor {
	t.Helper()
	data, err := s.Blobs().ReadAll(manifest, MaxManifest)
	check.NoError(t, "read the manifest", err)
	var m v1.Manifest
	check.NoError(t, "parse the manifest", json.Unmarshal(data, &m))
	return m.Layers
}

func unpacked(t testing.TB, s *Store, layer Descriptor) io.Reader {
	t.Helper()
	blob, err := s.Blobs().Open(layer)
	check.NoError(t, "open the layer", err)
	t.Cleanup(func() { blob.Close() })
	plain, err := Decompress(layer.MediaType, blob)
	check.NoError(t, "Decompress", err)
	return plain
}
