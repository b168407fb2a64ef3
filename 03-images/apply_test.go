package images

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

func TestApply_Files(t *testing.T) {
	exercise.Need(t, "3.3")
	sandbox.Need(t)
	dir := t.TempDir()
	defer unix.Umask(unix.Umask(0o077))
	a := apply(t, dir, ApplyOptions{},
		tarEntry{Name: "./", Mode: 0o711, Time: 9},
		tarEntry{Name: "etc/", Mode: 0o1777, Time: 5},
		tarEntry{Name: "etc/motd", Content: "hello\n", Time: 7},
		tarEntry{Name: "./etc/sealed/", Mode: 0o555, Time: 6},
		tarEntry{Name: "etc/sealed/in", Mode: 0o4755, Content: "x"},
		tarEntry{Name: "bin", Kind: tar.TypeSymlink, Link: "usr/bin", Time: 4},
		tarEntry{Name: "abroad", Kind: tar.TypeSymlink, Link: "/no/such/../place"},
		tarEntry{Name: "usr/bin/", Time: 3},
		tarEntry{Name: "bin/true", Mode: 0o755},
		tarEntry{Name: "etc/same", Kind: tar.TypeLink, Link: "./etc/motd"},
		tarEntry{Name: "pipe", Kind: tar.TypeFifo, Mode: 0o622},
		tarEntry{Name: "/tmp/GlobalHead.77.1", Kind: tar.TypeXGlobalHeader},
		tarEntry{Name: "etc/", Mode: 0o2755, Time: 8},
	)
	got := describe(t, dir, storeOwners(), true)
	delete(got, "usr") // nobody said when
	sameTree(t, "Apply", description{
		".": "drwx--x--x @9", "etc": "dgrwxr-xr-x @8", "etc/motd": `-rw-r--r-- @7 "hello\n"`, "etc/same": "is etc/motd",
		"etc/sealed": "dr-xr-xr-x @6", "etc/sealed/in": `urwxr-xr-x @0 "x"`, "bin": "Lrwxrwxrwx @4 -> usr/bin",
		"abroad": "Lrwxrwxrwx @0 -> /no/such/../place", "usr/bin": "drwxr-xr-x @3", "usr/bin/true": `-rwxr-xr-x @0 ""`, "pipe": "prw--w--w- @0",
	}, got,
		check.Often(strings.HasPrefix(got["etc"], "drwx------"), "Settle is not called: folders keep the mode that they were made with"),
		check.Often(!strings.Contains(got["etc/sealed"], "@6"), "a folder's time is set before its files are made"),
		check.Often(got["etc/motd"] != "" && !strings.HasPrefix(got["etc/motd"], "-rw-r--r--"), "the process's umask takes bits of the mode away"),
		check.Often(strings.HasPrefix(got["etc/same"], "L"), "a hard link is made as a symbolic one"))
	check.Equal(t, "Applied.Implicit", []string{"usr"}, a.Implicit,
		check.Often(len(a.Implicit) == 0, "a folder that was made because a file is in it is not the same as one that an entry names"))
	check.Equal(t, "Applied.Size", int64(7), a.Size)

	empty := t.TempDir()
	open := descriptors(t)
	a, err := Apply(context.Background(), strings.NewReader(""), empty, ApplyOptions{})
	check.NoError(t, "Apply of an empty layer", err)
	check.Equal(t, "its implicit folders", []string{"."}, a.Implicit)
	_, err = Apply(context.Background(), strings.NewReader("no tar"), empty, ApplyOptions{})
	check.True(t, "Apply of no tar", err != nil, "no error", "an error")
	check.Equal(t, "descriptors open after Apply", open, descriptors(t), check.Often(true, "the tree is not closed, however it ends"))

	// A file with a hole in it, packed by GNU tar.
	r, err := Decompress("", bytes.NewReader(sparse))
	check.NoError(t, "Decompress", err)
	_, err = Apply(context.Background(), r, dir, ApplyOptions{Owners: storeOwners()})
	check.NoError(t, "Apply of a sparse file of GNU tar", err)
	content, err := os.ReadFile(filepath.Join(dir, "sparse"))
	check.NoError(t, "read it", err)
	check.True(t, "it", len(content) == 1<<20+4 && bytes.HasSuffix(content, []byte("\x00end\n")), fmt.Sprint(len(content), " bytes"), "a megabyte of zeros, and a line")
}

func TestApply_Whiteouts(t *testing.T) {
	exercise.Need(t, "3.3")
	sandbox.Need(t, overlays)
	first := tarEntry{Name: "a/", Time: 1}
	const (
		order  = "whiteouts are done in the order of the tar; they come last, being about the layers below only"
		hidden = "below a folder that is hidden there is nothing to hide; the folder's own whiteout comes first"
		marked = "an opaque folder is marked by user.overlay.opaque, in our mounts, and not by a file"
	)
	for _, c := range []struct {
		did     string
		entries []tarEntry
		want    description
		often   string
	}{
		{"a file", []tarEntry{first, {Name: "a/.wh.gone"}}, description{"a": "drwxr-xr-x @1", "a/gone": "whiteout"}, ""},
		{"a file, by a folder", []tarEntry{first, {Name: "a/.wh.gone/"}}, description{"a": "drwxr-xr-x @1", "a/gone": "whiteout"}, ""},
		{"in a folder that no entry names", []tarEntry{{Name: "b/.wh.gone"}, {Name: "b/", Time: 1}}, description{"b": "drwxr-xr-x @1", "b/gone": "whiteout"}, ""},
		{"all that a folder held", []tarEntry{first, {Name: "a/.wh..wh..opq"}}, description{"a": `drwxr-xr-x @1 user.overlay.opaque="y"`}, marked},
		{"all that a folder held, said at last", []tarEntry{first, {Name: "a/new"}, {Name: "a/.wh..wh..opq"}},
			description{"a": `drwxr-xr-x @1 user.overlay.opaque="y"`, "a/new": `-rw-r--r-- @0 ""`}, "an opaque folder loses what its own layer put there"},
		{"a folder that is made anew", []tarEntry{{Name: ".wh.a"}, first, {Name: "a/new"}},
			description{"a": `drwxr-xr-x @1 user.overlay.opaque="y"`, "a/new": `-rw-r--r-- @0 ""`}, order},
		{"a folder that was made anew", []tarEntry{first, {Name: "a/new"}, {Name: ".wh.a"}},
			description{"a": `drwxr-xr-x @1 user.overlay.opaque="y"`, "a/new": `-rw-r--r-- @0 ""`}, "a whiteout takes away what its own layer made"},
		{"a file that is made anew", []tarEntry{first, {Name: "a/.wh.f"}, {Name: "a/f"}, {Name: "a/.wh.g"}, {Name: "a/g"}},
			description{"a": "drwxr-xr-x @1", "a/f": `-rw-r--r-- @0 ""`, "a/g": `-rw-r--r-- @0 ""`}, order},
		{"something in a folder, and that", []tarEntry{{Name: "a/.wh.b"}, {Name: ".wh.a"}, first},
			description{"a": `drwxr-xr-x @1 user.overlay.opaque="y"`}, hidden},
		{"something in a folder, and all in it", []tarEntry{first, {Name: "a/.wh.b"}, {Name: "a/.wh..wh..opq"}},
			description{"a": `drwxr-xr-x @1 user.overlay.opaque="y"`}, hidden},
		{"a folder that is gone, and something that was in it", []tarEntry{{Name: ".wh.a"}, {Name: "a/.wh.b"}}, description{"a": "whiteout"}, ""},
		{"what aufs left", []tarEntry{{Name: ".wh..wh.plnk/"}, {Name: ".wh..wh.plnk/1.2"}, {Name: ".wh..wh.aufs"}}, description{}, ""},
		{"what aufs left in a folder", []tarEntry{first, {Name: "a/.wh..wh.orph/"}, {Name: "a/.wh..wh.orph/.wh.f"}, {Name: "a/.wh..wh.orph/.wh..wh..opq"}, {Name: "a/.wh..wh..opq/f"}},
			description{"a": "drwxr-xr-x @1"}, "aufs kept its own things in every folder; the first part that begins with .wh. decides"},
	} {
		dir := t.TempDir()
		_, err := Apply(context.Background(), bytes.NewReader(tarOf(t, c.entries...)), dir, ApplyOptions{Owners: storeOwners()})
		check.NoError(t, "the whiteout of "+c.did, err, check.Often(c.often != "", c.often))
		got := describe(t, dir, storeOwners(), true)
		delete(got, ".")
		sameTree(t, "the whiteout of "+c.did, c.want, got, check.Often(c.often != "", c.often))
	}

	// What it is all for: what the kernel shows of two layers.
	lower, upper := t.TempDir(), t.TempDir()
	apply(t, lower, ApplyOptions{}, tarEntry{Name: "keep"}, tarEntry{Name: "gone"}, tarEntry{Name: "full/old"}, tarEntry{Name: "anew/old"}, tarEntry{Name: "deep/er/gone"}, tarEntry{Name: "deep/er/keep"})
	apply(t, upper, ApplyOptions{}, tarEntry{Name: ".wh.gone"}, tarEntry{Name: "full/.wh..wh..opq"}, tarEntry{Name: "full/new"}, tarEntry{Name: ".wh.anew"}, tarEntry{Name: "anew/new"}, tarEntry{Name: "deep/er/.wh.gone"})
	got := describe(t, overlay(t, []string{upper, lower}, ""), storeOwners(), false)
	delete(got, ".")
	sameTree(t, "an overlay of both", description{
		"keep": `-rw-r--r-- ""`, "full": `drwxr-xr-x`, "full/new": `-rw-r--r-- ""`,
		"anew": `drwxr-xr-x`, "anew/new": `-rw-r--r-- ""`, "deep": "drwxr-xr-x", "deep/er": "drwxr-xr-x", "deep/er/keep": `-rw-r--r-- ""`,
	}, got)
}

func TestApply_Attributes(t *testing.T) {
	exercise.Need(t, "3.3")
	sandbox.Need(t, overlays)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw=ep
	entries := []tarEntry{
		{Name: "home/", Uid: 1000, Gid: 100, Xattrs: map[string]string{"user.note": "n"}},
		{Name: "home/f", Uid: 1000, Gid: 100, Mode: 0o6755, Content: "x", Xattrs: map[string]string{"user.note": "", "security.capability": capability}},
		{Name: "home/l", Uid: 0, Gid: 0, Kind: tar.TypeSymlink, Link: "f"},
		{Name: "forged/", Xattrs: map[string]string{"user.overlay.opaque": "y", "trusted.overlay.opaque": "y", "user.coracle.owner": "7:7", "security.selinux": "s", "system.posix_acl_access": "x"}},
	}
	want := description{
		"home":   `drwxr-xr-x 1000:100 user.note="n"`,
		"home/f": fmt.Sprintf(`ugrwxr-xr-x 1000:100 security.capability=%q user.note="" "x"`, capability), "home/l": "Lrwxrwxrwx -> f",
		"forged": "drwxr-xr-x",
	}
	for owners, name := range map[Owners]string{Kernel: "kept by the kernel", Single: "kept in an attribute"} {
		dir := t.TempDir()
		_, err := Apply(context.Background(), bytes.NewReader(tarOf(t, entries...)), dir, ApplyOptions{Owners: owners})
		if owners == Kernel && sandbox.CurrentMode() == sandbox.Single {
			check.ErrorHas(t, "an owner whom this user namespace does not map", err, []string{`"home/"`, "1000:100", "/etc/subuid"})
			continue
		}
		check.NoError(t, "Apply, owners "+name, err)
		got := describe(t, dir, owners, false)
		delete(got, ".")
		sameTree(t, "Apply, owners "+name, want, got,
			check.Often(strings.Contains(got["forged"], "overlay") || strings.Contains(got["forged"], "7:7"), "an image can forge the marks that we and overlay make"),
			check.Often(!strings.Contains(got["home/f"], "ug"), "chown(2) takes set-user-ID away: the mode comes after the owner"),
			check.Often(!strings.Contains(got["home/f"], "capability"), "chown(2) takes capabilities away: they come after the owner"))
	}
}

const (
	aboutDotdot  = "a .. is looked for at the beginning of a name only"
	aboutLinks   = "the target of a hard link is a name too, and is not checked as one"
	aboutDevices = "device nodes are left out in silence; a layer that has one is refused"
)

// hostile are layers that must be refused: what the error says, and the entries.
// Each starts beside a file called canary; OUT stands for the folder of both.
var hostile = []struct {
	did     string
	entries []tarEntry
	says    []string
	often   string // why it may not be refused; "": as any other
}{
	{"a name with ..", []tarEntry{{Name: "../canary"}}, []string{`"../canary"`, ".."}, ""},
	{"a name with .. in its middle", []tarEntry{{Name: "a/../../canary"}}, []string{`"a/../../canary"`, ".."}, aboutDotdot},
	{"a name that ends in ..", []tarEntry{{Name: "a/.."}}, []string{`"a/.."`}, aboutDotdot},
	{"a name with .. that stays inside", []tarEntry{{Name: "a/../b"}}, []string{`"a/../b"`}, aboutDotdot},
	{"a folder named ..", []tarEntry{{Name: "../", Mode: 0o777}}, []string{`"../"`}, ""},
	{"an absolute name", []tarEntry{{Name: "OUT/canary"}}, []string{"absolute"}, ""},
	{"a file through a link to ..", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/canary"}}, []string{`"evil/canary"`, "escapes"}, ""},
	{"a file through an absolute link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: "OUT"}, {Name: "evil/new"}}, []string{`"evil/new"`, "escapes"}, ""},
	{"a file through two links", []tarEntry{{Name: "a/one", Kind: tar.TypeSymlink, Link: ".."}, {Name: "two", Kind: tar.TypeSymlink, Link: "a/one/.."}, {Name: "two/canary"}}, []string{`"two/canary"`}, ""},
	{"a folder through a link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/new/"}}, []string{`"evil/new/"`}, ""},
	{"a folder where a link is", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/", Mode: 0o777}}, []string{`"evil/"`, "second"}, ""},
	{"a file where a link is", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: "../canary"}, {Name: "evil", Content: "x"}}, []string{`"evil"`, "second"}, ""},
	{"a fifo through a link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/new", Kind: tar.TypeFifo}}, []string{`"evil/new"`}, ""},
	{"a link through a link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/new", Kind: tar.TypeSymlink}}, []string{`"evil/new"`}, ""},
	{"a hard link to a name with .. that stays inside", []tarEntry{{Name: "d/"}, {Name: "f"}, {Name: "a", Kind: tar.TypeLink, Link: "d/../f"}}, []string{`"a"`, `"d/../f"`}, aboutLinks},
	{"a hard link to ..", []tarEntry{{Name: "a", Kind: tar.TypeLink, Link: "../canary"}}, []string{`"a"`, `"../canary"`}, aboutLinks},
	{"a hard link to an absolute name", []tarEntry{{Name: "a", Kind: tar.TypeLink, Link: "OUT/canary"}}, []string{`"a"`, "absolute"}, aboutLinks},
	{"a hard link through a link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "a", Kind: tar.TypeLink, Link: "evil/canary"}}, []string{`"a"`, `"evil/canary"`, "escapes"}, ""},
	{"a hard link made through a link", []tarEntry{{Name: "f"}, {Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/new", Kind: tar.TypeLink, Link: "f"}}, []string{`"evil/new"`}, ""},
	{"a file where a hard link to a link is", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: "../canary"}, {Name: "a", Kind: tar.TypeLink, Link: "evil"}, {Name: "a", Content: "x"}}, []string{`"a"`, "second"}, ""},
	{"a hard link to nothing", []tarEntry{{Name: "a", Kind: tar.TypeLink, Link: "b"}}, []string{`"a"`, `"b"`}, ""},
	{"a hard link to a folder", []tarEntry{{Name: "b/"}, {Name: "a", Kind: tar.TypeLink, Link: "b"}}, []string{`"a"`, `"b"`}, ""},
	{"a hard link to itself", []tarEntry{{Name: "a", Kind: tar.TypeLink, Link: "a"}}, []string{`"a"`}, ""},
	{"a device", []tarEntry{{Name: "null", Kind: tar.TypeChar}}, []string{`"null"`, "device"}, aboutDevices},
	{"a disk", []tarEntry{{Name: "sda", Kind: tar.TypeBlock}}, []string{`"sda"`, "device"}, aboutDevices},
	{"an entry of an unknown kind", []tarEntry{{Name: "odd", Kind: 'Z'}}, []string{`"odd"`, "'Z'"}, ""},
	{"a contiguous file", []tarEntry{{Name: "odd", Kind: tar.TypeCont}}, []string{`"odd"`, "'7'"}, ""},
	{"a whiteout of ..", []tarEntry{{Name: ".wh..."}}, []string{`".wh..."`, "nothing"}, ""},
	{"a whiteout of .", []tarEntry{{Name: "a/.wh.."}}, []string{`"a/.wh.."`, "nothing"}, ""},
	{"a whiteout of nothing", []tarEntry{{Name: ".wh."}}, []string{`".wh."`, "nothing"}, ""},
	{"a whiteout outside", []tarEntry{{Name: "../.wh.canary"}}, []string{`"../.wh.canary"`}, ""},
	{"a whiteout through a link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/.wh.canary"}}, []string{`canary"`, "escapes"}, ""},
	{"an opaque link", []tarEntry{{Name: "evil", Kind: tar.TypeSymlink, Link: ".."}, {Name: "evil/.wh..wh..opq"}}, []string{`"evil`, "escapes"}, ""},
	{"an opaque file", []tarEntry{{Name: "f"}, {Name: "f/.wh..wh..opq"}}, []string{`"f`}, ""},
	{"a file in a whiteout", []tarEntry{{Name: ".wh.a/f"}}, []string{`".wh.a/f"`}, ""},
	{"something of aufs in a whiteout", []tarEntry{{Name: "d/.wh.a/.wh..wh.x"}}, []string{`"d/.wh.a/.wh..wh.x"`}, ""},
	{"a file twice", []tarEntry{{Name: "a/f", Content: "1"}, {Name: "./a//f", Content: "2"}}, []string{`"./a//f"`, "second"}, ""},
	{"a file after a folder", []tarEntry{{Name: "a/"}, {Name: "a"}}, []string{`"a"`, "second"}, ""},
	{"a folder after a file", []tarEntry{{Name: "a"}, {Name: "a/"}}, []string{`"a/"`, "second"}, ""},
	{"a file in a file", []tarEntry{{Name: "a"}, {Name: "a/b/c"}}, []string{`"a/b/c"`}, ""},
	{"a file in a fifo", []tarEntry{{Name: "a", Kind: tar.TypeFifo}, {Name: "a/b"}}, []string{`"a/b"`}, ""},
	{"a link as the layer's own folder", []tarEntry{{Name: "./", Kind: tar.TypeSymlink, Link: ".."}}, []string{`"./"`}, ""},
	{"a link to itself as a folder", []tarEntry{{Name: "a", Kind: tar.TypeSymlink, Link: "a"}, {Name: "a/b"}}, []string{`"a/b"`}, ""},
	{"an owner that leaves the owner alone", []tarEntry{{Name: "f", Uid: -1}}, []string{`"f"`, "-1:0"}, ""},
	{"a name that no file can have", []tarEntry{{Name: strings.Repeat("n", 300)}}, []string{"name too long"}, ""},
	{"a name of several lines", []tarEntry{{Name: "a\nb", Kind: tar.TypeChar}}, []string{`"a\nb"`}, ""},
	{"a path that no file can have", []tarEntry{{Name: strings.Repeat("n/", 5000) + "f"}}, []string{"name too long"}, ""},
}

// outside replaces OUT.
func outside(entries []tarEntry, dir string) []tarEntry {
	entries = append([]tarEntry{}, entries...)
	for i := range entries {
		entries[i].Name = strings.ReplaceAll(entries[i].Name, "OUT", dir)
		entries[i].Link = strings.ReplaceAll(entries[i].Link, "OUT", dir)
	}
	return entries
}

// refused unpacks beside a canary what must not unpack.
func refused(t *testing.T, did string, o ApplyOptions, says []string, often string, layers ...[]tarEntry) {
	t.Helper()
	out := t.TempDir()
	dir := filepath.Join(out, "layer")
	check.NoError(t, "make a folder", os.Mkdir(dir, 0o755))
	putFile(t, filepath.Join(out, "canary"), "untouched")
	for _, below := range layers[:len(layers)-1] {
		apply(t, dir, o, outside(below, out)...)
	}
	o.Owners = storeOwners()
	layer := tarOf(t, outside(layers[len(layers)-1], out)...)
	_, err := check.Within(t, did, "that it is refused", func() (Applied, error) {
		return Apply(context.Background(), bytes.NewReader(layer), dir, o)
	})
	check.ErrorHas(t, did, err, says, check.Often(often != "", often), check.Often(err == nil, "what must not be in a layer is left out, or made all the same; such a layer is refused"))
	check.True(t, did, !strings.Contains(err.Error(), "\n") && len(err.Error()) < 500, err.Error(), "one line")
	got := describe(t, out, Kernel, false)
	for name := range got {
		if name == "layer" || strings.HasPrefix(name, "layer/") {
			delete(got, name)
		}
	}
	sameTree(t, "outside of the layer, after "+did, description{".": got["."], "canary": `-rw-r--r-- "untouched"`}, got,
		check.Often(true, "a name of the layer leads out of it"))
}

func TestApply_Hostile(t *testing.T) {
	exercise.Need(t, "3.3")
	sandbox.Need(t, overlays)
	for _, c := range hostile {
		refused(t, c.did, ApplyOptions{}, c.says, c.often, c.entries)
	}
	// A tar that breaks off.
	whole := tarOf(t, tarEntry{Name: "f", Content: strings.Repeat("x", 2000)})
	for _, n := range []int{1, 511, 513, 1500, 2511} {
		_, err := Apply(context.Background(), bytes.NewReader(whole[:n]), t.TempDir(), ApplyOptions{Owners: storeOwners()})
		check.ErrorIs(t, fmt.Sprintf("a layer of which %d bytes are there", n), err, io.ErrUnexpectedEOF, check.Often(err == nil, "any error of the archive is taken for its end"))
	}
	_, err := Apply(context.Background(), strings.NewReader(strings.Repeat("no tar at all ", 100)), t.TempDir(), ApplyOptions{})
	check.ErrorIs(t, "something that is no tar", err, tar.ErrHeader, check.Often(err == nil, "any error of the archive is taken for its end"))
}

// endless gives the same bytes for ever.
type endless []byte

func (e endless) Read(p []byte) (int, error) { return copy(p, e), nil }

// many gives empty files for ever.
type many struct {
	n    int
	rest []byte
}

func (m *many) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		var b bytes.Buffer
		if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint(m.n)}); err != nil {
			return 0, err
		}
		m.n++
		m.rest = b.Bytes()
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// terabyte is a sparse file of a terabyte, packed by GNU tar: 262 bytes.
//
//go:embed testdata/terabyte.tar.gz
var terabyte []byte

// sparse is a megabyte of nothing and the line "end", packed by GNU tar.
//
//go:embed testdata/sparse.tar.gz
var sparse []byte

func TestApply_Limits(t *testing.T) {
	exercise.Need(t, "3.3")
	sandbox.Need(t)
	const unread = "reading ends with the archive's last entry; its digest is that of all bytes"
	ctx := context.Background()
	o := ApplyOptions{MaxBytes: 1 << 20, MaxEntries: 50, Owners: storeOwners()}
	var big bytes.Buffer
	check.NoError(t, "write a header", tar.NewWriter(&big).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Size: math.MaxInt64 / 2}))
	terabyte, err := Decompress("", bytes.NewReader(terabyte))
	check.NoError(t, "Decompress", err)
	for _, c := range []struct {
		did string
		r   io.Reader
	}{
		{"a file larger than all that is allowed", io.MultiReader(&big, endless(make([]byte, 4096)))},
		{"an archive that does not end after its end", endless(make([]byte, 4096))},
		{"files without end", &many{}},
		{"a sparse file of a terabyte", terabyte},
		{"one path of more folders than files are allowed", bytes.NewReader(tarOf(t, tarEntry{Name: strings.Repeat("n/", 100) + "f"}))},
		{"sixty whiteouts", bytes.NewReader(tarOf(t, whiteouts(60)...))},
	} {
		_, err := check.Within(t, did(c.did), "an error", func() (Applied, error) { return Apply(ctx, c.r, t.TempDir(), o) },
			check.Often(true, "what follows the end of an archive is read without a limit"))
		check.ErrorIs(t, did(c.did), err, ErrTooLarge, check.Often(err == nil, unread))
	}

	layer := bytes.NewReader(append(tarOf(t, tarEntry{Name: "f", Content: "x"}), make([]byte, 9000)...))
	_, err = Apply(ctx, layer, t.TempDir(), o)
	check.NoError(t, "Apply of an archive with zeros at its end", err)
	check.Equal(t, "what Apply left unread", 0, layer.Len(), check.Often(true, unread))

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = check.Within(t, "Apply when its context has ended", "an error", func() (Applied, error) {
		return Apply(ended, &many{}, t.TempDir(), o)
	})
	check.ErrorIs(t, "Apply when its context has ended", err, context.Canceled)

	broken := fmt.Errorf("the blob: %w", &fs.PathError{Op: "read", Path: "/blobs/b", Err: unix.EIO})
	whole := tarOf(t, tarEntry{Name: "f", Content: strings.Repeat("x", 2000)})
	for _, n := range []int{0, 600, 1500, len(whole)} {
		_, err = Apply(ctx, io.MultiReader(bytes.NewReader(whole[:n]), failing{broken}), t.TempDir(), o)
		check.ErrorIs(t, fmt.Sprintf("Apply of what cannot be read after %d bytes", n), err, broken)
	}

	// Names that are kept until the end, a megabyte each.
	for what, name := range map[string]string{"whiteouts": "%d/%s/.wh.f", "opaque folders": "%d/%s/.wh..wh..opq"} {
		did := "Apply of 70 MB of names of " + what
		var all []io.Reader
		var last *bytes.Reader
		for i := range 70 {
			data := tarOf(t, tarEntry{Name: fmt.Sprintf(name, i, strings.Repeat("n", 1_000_000))})
			last = bytes.NewReader(data[:len(data)-1024]) // without an end
			all = append(all, last)
		}
		_, err = check.Within(t, did, "an error", func() (Applied, error) {
			return Apply(ctx, io.MultiReader(all...), t.TempDir(), ApplyOptions{Owners: storeOwners()})
		})
		check.ErrorIs(t, did, err, ErrTooLarge, check.Often(last.Len() == 0, "what is taken away is kept in memory without asking remember"))
	}
}

func did(what string) string { return "Apply of " + what }

func whiteouts(n int) (all []tarEntry) {
	for i := range n {
		all = append(all, tarEntry{Name: fmt.Sprintf(".wh.%d", i)})
	}
	return all
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
