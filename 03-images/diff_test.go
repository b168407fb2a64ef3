package images

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// diff makes a layer, with owners as this sandbox keeps them.
func diff(t testing.TB, upper string, o DiffOptions) []byte {
	t.Helper()
	o.Owners = storeOwners()
	return diffWith(t, upper, o)
}

func diffWith(t testing.TB, upper string, o DiffOptions) []byte {
	t.Helper()
	layer, err := check.Within(t, "Diff", "its end", func() ([]byte, error) {
		var b bytes.Buffer
		err := Diff(context.Background(), upper, &b, o)
		return b.Bytes(), err
	}, check.Often(true, "a fifo is opened, which waits for who writes to it"))
	check.NoError(t, "Diff", err)
	return layer
}

// entriesOf reads a tar: one line for each entry, such as "a/f 0644 0:0 @5 'content'".
func entriesOf(t testing.TB, data []byte) (all []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		check.NoError(t, "read the archive that Diff made", err)
		content, err := io.ReadAll(r)
		check.NoError(t, "read "+h.Name, err)
		line := fmt.Sprintf("%s %#o %d:%d @%d", h.Name, h.Mode, h.Uid, h.Gid, h.ModTime.Unix())
		switch h.Typeflag {
		case tar.TypeReg:
			line += fmt.Sprintf(" '%.20s'", content)
		case tar.TypeDir:
		default:
			line += fmt.Sprintf(" %c %s", h.Typeflag, h.Linkname)
		}
		if h.Uname != "" || h.Gname != "" {
			line += fmt.Sprintf(" called %q:%q", h.Uname, h.Gname)
		}
		for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
			if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				line += " with " + name
			}
		}
		all = append(all, line)
	}
}

func names(entries []string) (all []string) {
	for _, e := range entries {
		name, _, _ := strings.Cut(e, " ")
		all = append(all, name)
	}
	return all
}

// bareMarks fails unless what stands for a deletion is nothing but its name.
func bareMarks(t testing.TB, entries []string) {
	t.Helper()
	for _, line := range entries {
		name, rest, _ := strings.Cut(line, " ")
		check.True(t, "the entry "+name, !strings.Contains(name, ".wh.") || rest == "0 0:0 @0 ''", rest, "an empty file without mode, owner and time")
	}
}

// age gives everything below dir one time.
func age(t testing.TB, dir string, at int64) {
	t.Helper()
	check.NoError(t, "set times", filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		ts := unix.Timespec{Sec: at}
		if err == nil {
			err = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	}))
}

func TestDiff_Entries(t *testing.T) {
	exercise.Need(t, "3.4")
	sandbox.Need(t, overlays)
	dir := t.TempDir()
	check.NoError(t, "chmod", os.Chmod(dir, 0o755))
	for _, name := range []string{"b/z", "b/a/deep", "a.b", "a/f", "c"} {
		putFile(t, filepath.Join(dir, name), "in "+name)
	}
	check.NoError(t, "link", os.Symlink("/etc/../b", filepath.Join(dir, "link")))
	check.NoError(t, "link a folder", os.Symlink("b", filepath.Join(dir, "folder")))
	check.NoError(t, "make a fifo", unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	check.NoError(t, "chmod", unix.Chmod(filepath.Join(dir, "c"), 0o6751))
	check.NoError(t, "chmod", unix.Chmod(filepath.Join(dir, "b"), 0o1777))
	check.NoError(t, "set an attribute", unix.Setxattr(filepath.Join(dir, "c"), "user.note", []byte("n"), 0))
	check.NoError(t, "set a mark", unix.Setxattr(filepath.Join(dir, "c"), "user.overlay.origin", []byte("n"), 0))
	age(t, dir, 1000)
	late := unix.Timespec{Sec: 1000, Nsec: 700_000_000}
	check.NoError(t, "set times", unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, "b/z"), []unix.Timespec{late, late}, 0))
	open := descriptors(t)
	got := entriesOf(t, diff(t, dir, DiffOptions{}))
	check.Equal(t, "descriptors open after Diff", open, descriptors(t), check.Often(true, "a file that was shipped stays open"))
	want := []string{
		"./ 0755 0:0 @1000", "a/ 0755 0:0 @1000", "a/f 0644 0:0 @1000 'in a/f'", "a.b 0644 0:0 @1000 'in a.b'",
		"b/ 01777 0:0 @1000", "b/a/ 0755 0:0 @1000", "b/a/deep 0644 0:0 @1000 'in b/a/deep'", "b/z 0644 0:0 @1000 'in b/z'",
		"c 06751 0:0 @1000 'in c' with user.note", "folder 0777 0:0 @1000 2 b", "link 0777 0:0 @1000 2 /etc/../b", "pipe 0600 0:0 @1000 6 ",
	}
	for i := range want {
		check.True(t, fmt.Sprintf("entry %d of Diff", i), i < len(got), "no more", want[i])
		check.Equal(t, fmt.Sprintf("entry %d of Diff", i), want[i], got[i],
			check.Often(strings.Contains(got[i], "called"), "names of users and groups are the machine's: the layer tells where it was made"),
			check.Often(strings.Contains(got[i], "user.overlay"), "overlay's own attributes are shipped"),
			check.Often(strings.HasPrefix(got[i], "b/z") && strings.Contains(got[i], "@1001"), "a time of 1000.7 s is rounded: it is cut, as others cut it"),
			check.Often(strings.HasPrefix(got[i], "folder") && got[i] != want[i], "a symbolic link is followed"),
			check.Often(got[i]+"/" == want[i] || slices.Contains(want, got[i]), "the order is the file system's and not one's own"))
	}
	check.Equal(t, "number of entries", len(want), len(got))

	// Whoever takes it fails, at the first byte or at the last.
	layer := diff(t, dir, DiffOptions{})
	full := fmt.Errorf("the blob: %w", &fs.PathError{Op: "write", Path: "/blobs/b", Err: unix.ENOSPC})
	for _, n := range []int{0, 700, len(layer) - 1024, len(layer) - 1} {
		err := Diff(t.Context(), dir, &room{n, full}, DiffOptions{Owners: storeOwners()})
		check.ErrorIs(t, fmt.Sprintf("Diff to what takes %d of %d bytes", n, len(layer)), err, full,
			check.Often(err == nil && n >= len(layer)-1024, "the error of ending the archive is lost"))
	}
	going := t.TempDir()
	putFile(t, filepath.Join(going, "before"), "")
	putFile(t, filepath.Join(going, "z\ny"), "")
	err := Diff(t.Context(), going, &changing{"before", func() { os.Remove(filepath.Join(going, "z\ny")) }}, DiffOptions{})
	check.ErrorHas(t, "Diff of a file that goes meanwhile", err, []string{`"z\ny"`})
	check.True(t, "its error", !strings.Contains(err.Error(), "\n"), err.Error(), "one line", check.Often(true, "the kernel's error has the path once more, whatever is in it"))

	growing := func(t *testing.T, to int64) error {
		dir := t.TempDir()
		putFile(t, filepath.Join(dir, "changing"), strings.Repeat("x", 1<<20))
		return Diff(t.Context(), dir, &changing{"changing", func() { os.Truncate(filepath.Join(dir, "changing"), to) }}, DiffOptions{})
	}
	check.NoError(t, "Diff of a file that grows while it is read", growing(t, 2<<20))
	check.ErrorHas(t, "Diff of a file that shrinks while it is read", growing(t, 1<<10), []string{`"changing"`})
	check.True(t, "the end of the archive", bytes.HasSuffix(layer, make([]byte, 1024)), "is missing", "two blocks of zeros",
		check.Often(true, "the archive is not closed: it may have broken off anywhere, for all that its reader knows"))
	if storeOwners() == Kernel {
		check.NoError(t, "chown", os.Lchown(filepath.Join(dir, "link"), 7, 8))
		check.NoError(t, "chown", os.Lchown(filepath.Join(dir, "a/f"), 7, 8))
		got := entriesOf(t, diff(t, dir, DiffOptions{}))
		check.True(t, "the owner of a file, as the kernel keeps it", strings.Contains(got[2], " 7:8 "), got[2], "7:8")
		check.True(t, "the owner of a link", strings.Contains(got[10], " 7:8 "), got[10], "7:8")
		for _, line := range entriesOf(t, diffWith(t, dir, DiffOptions{Owners: Single})) {
			check.True(t, "an owner, where attributes keep them and this file has none", strings.Contains(line, " 0:0 "), line, "0:0")
		}
	}
}

// room takes n bytes.
type room struct {
	n   int
	err error
}

func (r *room) Write(p []byte) (int, error) {
	if r.n -= len(p); r.n < 0 {
		return 0, r.err
	}
	return len(p), nil
}

// changing does something once what is written names a file.
type changing struct {
	name string
	do   func()
}

func (c *changing) Write(p []byte) (int, error) {
	if c.do != nil && bytes.Contains(p, []byte(c.name)) {
		c.do()
		c.do = nil
	}
	return len(p), nil
}

func TestDiff_Deletions(t *testing.T) {
	exercise.Need(t, "3.4", "3.3")
	sandbox.Need(t, overlays)
	lower, upper := t.TempDir(), t.TempDir()
	apply(t, lower, ApplyOptions{}, tarEntry{Name: "keep"}, tarEntry{Name: "gone"}, tarEntry{Name: "all/old"}, tarEntry{Name: "anew/old"},
		tarEntry{Name: "deep/er/gone"}, tarEntry{Name: "deep/er/keep"}, tarEntry{Name: "touched", Content: "x"})
	merged := overlay(t, []string{lower}, upper)
	check.NoError(t, "remove a file", os.Remove(filepath.Join(merged, "gone")))
	check.NoError(t, "remove a deep file", os.Remove(filepath.Join(merged, "deep/er/gone")))
	check.NoError(t, "remove a folder", os.RemoveAll(filepath.Join(merged, "all")))
	check.NoError(t, "remove a folder", os.RemoveAll(filepath.Join(merged, "anew")))
	putFile(t, filepath.Join(merged, "anew/new"), "")
	check.NoError(t, "chmod", os.Chmod(filepath.Join(merged, "touched"), 0o600))
	layer := diff(t, upper, DiffOptions{})
	got := names(entriesOf(t, layer))
	check.Equal(t, "what Diff says of changes in an overlay",
		[]string{"./", ".wh.all", "anew/", "anew/.wh..wh..opq", "anew/new", "deep/", "deep/er/", "deep/er/.wh.gone", ".wh.gone", "touched"}, got,
		check.Often(slices.Contains(got, "gone"), "a deleted file is shipped as the device that overlay keeps for it"),
		check.Often(!slices.Contains(got, "anew/.wh..wh..opq"), "a folder that was made anew shows what the old one held"))
	bareMarks(t, entriesOf(t, layer))
	// It means the same elsewhere.
	other := t.TempDir()
	_, err := Apply(context.Background(), bytes.NewReader(layer), other, ApplyOptions{Owners: storeOwners()})
	check.NoError(t, "Apply", err)
	sameTree(t, "both layers, and the same two made from their archive", describe(t, merged, storeOwners(), true), describe(t, overlay(t, []string{other, lower}, ""), storeOwners(), true))
	// And where no overlay hides anything.
	_, err = Apply(context.Background(), bytes.NewReader(layer), lower, ApplyOptions{Owners: storeOwners(), Plain: true})
	check.NoError(t, "Apply to a plain folder", err)
	sameTree(t, "both layers, and one over the other in one folder", describe(t, merged, storeOwners(), true), describe(t, lower, storeOwners(), true))
}

func TestDiff_Links(t *testing.T) {
	exercise.Need(t, "3.4")
	sandbox.Need(t, overlays)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	putFile(t, at("b/second"), "once")
	check.NoError(t, "link", os.Link(at("b/second"), at("b/third")))
	check.NoError(t, "link", os.Link(at("b/second"), at("a-first")))
	check.NoError(t, "link", os.Symlink("x", at("s")))
	check.NoError(t, "link a link", os.Link(at("s"), at("t")))
	short, err := net.Listen("unix", at("socket"))
	check.NoError(t, "make a socket", err)
	defer short.Close()
	check.NoError(t, "link a socket", os.Link(at("socket"), at("t-socket")))
	check.NoError(t, "make a fifo", unix.Mkfifo(at("p"), 0o600))
	check.NoError(t, "link a fifo", os.Link(at("p"), at("q")))
	check.NoError(t, "make a whiteout", unix.Mknod(at("v"), unix.S_IFCHR|0o640, 0)) // overlay has one for all
	check.NoError(t, "link a whiteout", os.Link(at("v"), at("w")))
	if storeOwners() == Kernel {
		check.NoError(t, "chown a whiteout", os.Lchown(at("v"), 7, 8))
	}
	age(t, dir, 5)
	check.NoError(t, "make it opaque", unix.Setxattr(dir, "user.overlay.opaque", []byte("y"), 0))
	check.NoError(t, "set an owner", unix.Setxattr(at("a-first"), "user.coracle.owner", []byte("7:8"), 0))
	got := entriesOf(t, diffWith(t, dir, DiffOptions{Owners: Single}))
	check.Equal(t, "Diff of files with several names", []string{
		".wh..wh..opq 0 0:0 @0 ''", "a-first 0644 7:8 @5 'once'", "b/ 0755 0:0 @5", "b/second 0644 7:8 @5 1 a-first", "b/third 0644 7:8 @5 1 a-first",
		"p 0600 0:0 @5 6 ", "q 0600 0:0 @5 1 p", "s 0777 0:0 @5 2 x", "t 0777 0:0 @5 1 s", ".wh.v 0 0:0 @0 ''", ".wh.w 0 0:0 @0 ''",
	}, got[1:],
		check.Often(strings.Count(strings.Join(got, "\n"), "once") > 1, "a file with several names is shipped once for each"),
		check.Often(strings.Contains(strings.Join(got, "\n"), ".wh.w 0 0:0 @0 1"), "a deletion is shipped as a link: overlay keeps one device for all that is gone"))
	bareMarks(t, entriesOf(t, diff(t, dir, DiffOptions{})))

	for name, make := range map[string]func(string) error{
		".wh.file": func(p string) error { return os.WriteFile(p, nil, 0o644) },
		".wh.":     func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		dir := t.TempDir()
		check.NoError(t, "make "+name, make(filepath.Join(dir, name)))
		check.ErrorHas(t, "Diff of a tree with "+name, Diff(context.Background(), dir, io.Discard, DiffOptions{}), []string{`"` + name + `"`},
			check.Often(true, "a file whose name begins with .wh. would be a whiteout elsewhere"))
	}
	if storeOwners() == Kernel && os.Getuid() == 0 && sandbox.CurrentMode() == sandbox.Root {
		dir := t.TempDir()
		check.NoError(t, "make a device", unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		check.ErrorHas(t, "Diff of a tree with a device", Diff(context.Background(), dir, io.Discard, DiffOptions{}), []string{`"null"`, "device"})
	}
	check.ErrorIs(t, "Diff of a folder that is not there", Diff(context.Background(), at("gone"), io.Discard, DiffOptions{}), os.ErrNotExist)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	check.ErrorIs(t, "Diff when its context has ended", Diff(ended, dir, io.Discard, DiffOptions{}), context.Canceled)
}

func TestDiff_Reproducible(t *testing.T) {
	exercise.Need(t, "3.4")
	sandbox.Need(t, overlays)
	order := []string{"m/1", "m/2", "z", "a/b/c", "m/3", "k"}
	epoch := time.Unix(1_000_000_000, 500)
	made := func(order []string, at time.Time) []byte {
		dir := t.TempDir()
		check.NoError(t, "chmod", os.Chmod(dir, 0o755))
		for _, name := range order {
			putFile(t, filepath.Join(dir, name), name)
			check.NoError(t, "set an attribute", unix.Setxattr(filepath.Join(dir, name), "user."+name[:1], nil, 0))
			check.NoError(t, "set an attribute", unix.Setxattr(filepath.Join(dir, name), "user.same", nil, 0))
		}
		check.NoError(t, "make a whiteout", unix.Mknod(filepath.Join(dir, "w"), unix.S_IFCHR, 0))
		age(t, dir, at.Unix())
		old := unix.Timespec{Sec: 77, Nsec: 5}
		check.NoError(t, "age a file", unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, "k"), []unix.Timespec{old, old}, 0))
		return diff(t, dir, DiffOptions{Epoch: epoch})
	}
	one := made(order, epoch.Add(time.Hour))
	slices.Reverse(order)
	two := made(order, epoch.Add(48*time.Hour+time.Millisecond))
	for i, line := range entriesOf(t, two) {
		check.Equal(t, "an entry of the same tree, made in another order on another day", entriesOf(t, one)[i], line,
			check.Often(!strings.Contains(line, "@1000000000"), "times later than Epoch stay as they are"))
		switch {
		case strings.HasPrefix(line, "k "):
			check.True(t, "a file older than Epoch", strings.Contains(line, "@77 "), line, "its own time", check.Often(true, "every time becomes Epoch, also an earlier one"))
		case !strings.HasPrefix(line, ".wh."):
			check.True(t, "a file later than Epoch", strings.Contains(line, "@1000000000"), line, "Epoch")
		}
	}
	check.True(t, "the same tree, made in another order on another day", bytes.Equal(one, two), "other bytes", "the same bytes")
	check.True(t, "its xattrs", bytes.Contains(one, []byte("SCHILY.xattr.user.same")), "are not in it", "are in it")

	// Access and change times are nobody's business; nor are fractions of a second.
	check.True(t, "a time in the layer", !bytes.Contains(one, []byte("mtime=")), "has fractions of a second", "whole seconds")
	dir := t.TempDir()
	putFile(t, filepath.Join(dir, "f"), "")
	for _, line := range entriesOf(t, diff(t, dir, DiffOptions{Epoch: time.Unix(0, 0)})) {
		check.True(t, "a file later than an Epoch of 1970", strings.Contains(line, "@0"), line, "Epoch", check.Often(true, "1970 is taken for no Epoch: none is the zero time.Time"))
	}
	check.True(t, "Diff", !bytes.Contains(one, []byte("atime=")) && !bytes.Contains(one, []byte("ctime=")), "atime or ctime", "the time of change only")
}

func TestDiff_RoundTrip(t *testing.T) {
	exercise.Need(t, "3.4", "3.3")
	sandbox.Need(t, overlays)
	lower, upper := t.TempDir(), t.TempDir()
	owners := storeOwners()
	apply(t, lower, ApplyOptions{},
		tarEntry{Name: "./"}, tarEntry{Name: "bin/"}, tarEntry{Name: "bin/su", Mode: 0o4755, Content: "su", Uid: 0, Gid: 42, Xattrs: map[string]string{"user.k": "v"}},
		tarEntry{Name: "home/", Uid: 7, Gid: 8, Xattrs: map[string]string{"user.k": "v"}}, tarEntry{Name: "home/one", Uid: 7, Gid: 8},
		tarEntry{Name: "home/two", Uid: 7, Gid: 8}, tarEntry{Name: "old/f"}, tarEntry{Name: "old/g"})
	merged := overlay(t, []string{lower}, upper)
	at := func(name string) string { return filepath.Join(merged, name) }
	check.NoError(t, "chmod", unix.Chmod(at("bin/su"), 0o6711)) // copied up, with its owner and attributes
	check.NoError(t, "remove", os.Remove(at("home/one")))
	check.NoError(t, "remove", os.RemoveAll(at("old")))
	putFile(t, at("old/new"), "new")
	putFile(t, at("big"), strings.Repeat("0123456789abcdef", 100_000))
	check.NoError(t, "link", os.Link(at("big"), at("home/big")))
	check.NoError(t, "link", os.Symlink("../big", at("home/link")))
	check.NoError(t, "make a fifo", unix.Mkfifo(at("home/pipe"), 0o620))
	check.NoError(t, "set an attribute", unix.Setxattr(at("big"), "user.binary", []byte("\x00\xff\n="), 0))
	putFile(t, at(strings.Repeat("long/", 60)+strings.Repeat("é", 100)), "deep")
	putFile(t, at("a name\nof two lines"), "")
	check.NoError(t, "chmod", unix.Chmod(at("long"), 0o2700))
	check.NoError(t, "chmod", unix.Chmod(merged, 0o711))
	if owners == Kernel {
		check.NoError(t, "chown", unix.Lchown(at("home/link"), 9, 10))
		check.NoError(t, "chown", unix.Lchown(at("home/pipe"), 9, 10))
	}

	dir := t.TempDir()
	_, err := Apply(context.Background(), bytes.NewReader(diff(t, upper, DiffOptions{})), dir, ApplyOptions{Owners: owners})
	check.NoError(t, "Apply of what Diff made", err)
	want := describe(t, upper, owners, true)
	sameTree(t, "an upper folder, and what became of it through Diff and Apply", want, describe(t, dir, owners, true))
	check.True(t, "the description", want["home/one"] == "whiteout" && strings.Contains(want["old"], "opaque") && strings.Contains(want["bin/su"], "0:42"), fmt.Sprint(want), "a whiteout, an opaque folder and an owner")
}
