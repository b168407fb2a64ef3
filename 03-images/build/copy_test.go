package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	images "coracle/03-images"
	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// Each Dockerfile, and files that the image then has: a mode, an owner that is not
// root's, content. "" is a file that is not there.
func TestCopy_Semantics(t *testing.T) {
	exercise.NeedAll(t)
	dir := folder(t, map[string]string{"f": "1", "g": "2", "d/a": "a", "d/sub/b": "b", "d/l -> a": "", "d/abs -> /etc/passwd": "", "x y": "3", "lf -> d/a": "", "ld -> d": "",
		"run.sh": "#!/bin/sh\n", "lib/so": "4"})
	check.NoError(t, "chmod", os.Chmod(dir+"/run.sh", fs.ModeSetuid|0o755))
	check.NoError(t, "chmod", os.Chmod(dir+"/d/sub", 0o710))
	for _, c := range []struct {
		what, text string
		want       map[string]string
	}{
		{"a file to a name", "COPY f /n", map[string]string{"/n": "-rw-r--r-- 1"}},
		{"a file into a folder", "COPY f /n/", map[string]string{"/n": "drwxr-xr-x", "/n/f": "-rw-r--r-- 1"}},
		{"a file to a folder that is there", "COPY d /n\nCOPY f /n", map[string]string{"/n/f": "-rw-r--r-- 1", "/n/a": "-rw-r--r-- a"}},
		{"a file deep down", "COPY f /a/b/c", map[string]string{"/a/b/c": "-rw-r--r-- 1", "/a/b": "drwxr-xr-x"}},
		{"a folder: what is in it", "COPY d /n", map[string]string{"/n/a": "-rw-r--r-- a", "/n/sub": "drwx--x---", "/n/sub/b": "-rw-r--r-- b", "/n/l": "Lrwxrwxrwx -> a", "/n/abs": "Lrwxrwxrwx -> /etc/passwd"}},
		{"a link that is named", "COPY lf ld /n/", map[string]string{"/n/lf": "-rw-r--r-- a", "/n/a": "-rw-r--r-- a", "/n/ld": ""}},
		{"several and globs", "COPY f d/a d/s* /n/", map[string]string{"/n/f": "-rw-r--r-- 1", "/n/a": "-rw-r--r-- a", "/n/b": "-rw-r--r-- b", "/n/sub": ""}},
		{"a name with a space", `COPY ["x y", "/n m"]`, map[string]string{"/n m": "-rw-r--r-- 3"}},
		{"modes", "COPY run.sh /", map[string]string{"/run.sh": "urwxr-xr-x #!/bin/sh\n"}},
		{"--chmod", "COPY --chmod=2711 f d /n/", map[string]string{"/n": "drwxr-xr-x", "/n/f": "grwx--x--x 1", "/n/a": "grwx--x--x a", "/n/sub": "dgrwx--x--x"}},
		{"--chown by number", "COPY --chown=5:6 f d /n/", map[string]string{"/n": "drwxr-xr-x 5:6", "/n/f": "-rw-r--r-- 5:6 1", "/n/sub": "drwx--x--- 5:6"}},
		{"--chown without a group", "COPY --chown=5 f /n", map[string]string{"/n": "-rw-r--r-- 5:5 1"}},
		{"--chown by name", "COPY <<E /etc/passwd\njoe:x:7:8::/:\nE\nCOPY <<E /etc/group\nstaff:x:9:\nE\nCOPY --chown=joe f /n\nCOPY --chown=joe:staff f /m\nCOPY --chown=:staff f /o\nCOPY --chown=9:staff f /p",
			map[string]string{"/n": "-rw-r--r-- 7:8 1", "/m": "-rw-r--r-- 7:9 1", "/o": "-rw-r--r-- 0:9 1", "/p": "-rw-r--r-- 9:9 1"}},
		{"--exclude", "COPY --exclude=sub --exclude=l d /n", map[string]string{"/n/a": "-rw-r--r-- a", "/n/sub": "", "/n/l": ""}},
		{"a file over a file", "COPY f /n\nCOPY g /n", map[string]string{"/n": "-rw-r--r-- 2"}},
		{"a file over a link", "COPY d /n\nCOPY f /n/l", map[string]string{"/n/l": "-rw-r--r-- 1", "/n/a": "-rw-r--r-- a"}},
		{"a folder into one that is there", "COPY --chmod=700 d /n\nCOPY d/sub /n/sub", map[string]string{"/n/sub": "drwx------", "/n/sub/b": "-rw-r--r-- b", "/n/a": "-rwx------ a"}},
		{"relative to WORKDIR", "WORKDIR /w/v\nCOPY f ../n\nCOPY g .", map[string]string{"/w/n": "-rw-r--r-- 1", "/w/v/g": "-rw-r--r-- 2"}},
		{"here-documents", "ARG A=b\nCOPY --chmod=755 <<one <<\"two\" /n/\n$A\none\n$A\ntwo", map[string]string{"/n/one": "-rwxr-xr-x b\n", "/n/two": "-rwxr-xr-x $A\n"}},
		{"variables", "ENV D=/n\nCOPY f ${D}/m", map[string]string{"/n/m": "-rw-r--r-- 1"}},
		{"WORKDIR's user", "USER 3:4\nWORKDIR /w/v", map[string]string{"/w": "drwxr-xr-x 3:4", "/w/v": "drwxr-xr-x 3:4"}},
		{"--from with owners and modes", "FROM scratch AS s\nCOPY --chown=5:6 --chmod=640 f /s/f\nCOPY d/l /s/\nFROM scratch\nCOPY --from=s /s /n", map[string]string{"/n/f": "-rw-r----- 5:6 1"}},
		{"--from by number, absolute or not", "FROM scratch\nCOPY --from=0 f /n\nCOPY --from=0 ../f /m", map[string]string{"/n": "-rw-r--r-- 1", "/m": "-rw-r--r-- 1"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			sandbox.Need(t)
			text := "FROM scratch\n" + c.text + "\n"
			if strings.Contains(c.what, "number, absolute") {
				text = "FROM scratch\nCOPY . /\n" + c.text + "\n"
			}
			store := emptyStore(t)
			_, img := build(t, store, text, dir)
			files := listFiles(t, store, img)
			for name, want := range c.want {
				check.Equal(t, name+" after\n"+c.text, want, files[name])
			}
		})
	}
}

// A destination is what a process in the image would find there: links of the
// image are followed in it, and nowhere else.
func TestCopy_LinksInTheImage(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	store := emptyStore(t)
	outside := t.TempDir()
	dir := folder(t, map[string]string{"f": "1", "t/lib -> usr/lib": "", "t/usr/lib/": "", "t/abs -> /usr/lib": "", "t/up -> ../../../../usr": "", "t/out -> " + outside: "", "t/dangling -> /new/place": "", "t/loop -> loop": "", "d/x": "2"})
	text := "FROM scratch\nCOPY t /\nCOPY f /lib/one\nCOPY f /abs/\nCOPY d /up/lib\nCOPY f /out/\nCOPY f /dangling/\nCOPY d /lib\n"
	_, img := build(t, store, text, dir)
	files := listFiles(t, store, img)
	for _, name := range []string{"/usr/lib/one", "/usr/lib/f", outside + "/f", "/new/place/f"} {
		check.Equal(t, name, "-rw-r--r-- 1", files[name])
	}
	check.Equal(t, "/usr/lib/x", "-rw-r--r-- 2", files["/usr/lib/x"])
	check.Equal(t, "/lib", "Lrwxrwxrwx -> usr/lib", files["/lib"])
	check.Equal(t, "the folder that the link names outside", "[]", dirNames(t, outside))
	for text, want := range map[string]string{
		"COPY f /loop/": "too many links", "COPY f /f\nCOPY d /f/x": "there is a file of that name", "COPY f /n\nCOPY d /n": "mkdir /n: there is a file of that name",
		"COPY d /n/f\nCOPY f /n/": "there is a folder of that name, where a file is to be", "COPY none /": "none: no such file", "COPY ../f /": "outside the context", "COPY *.none /": "nothing matches",
		"COPY --from=none:1 f /": "not found", "COPY --chown=nobody f /": "nobody: not in the image's /etc/passwd", "COPY --chown=1:staff f /": "staff: not in the image's /etc/group",
		"COPY d/* f /n": "a folder's name ends in /",
	} {
		err := fails(t, store, "FROM scratch\nCOPY t /\n"+text+"\n", dir)
		check.ErrorHas(t, text, err, []string{"Dockerfile:", want})
		check.True(t, "the error of "+text, strings.Count(err.Error(), "\n") == 0, err.Error(), "one line")
	}
	err := fails(t, store, "FROM scratch AS a\nFROM scratch\nCOPY --from=a x /\n", "")
	check.ErrorHas(t, "COPY from a stage without files", err, []string{"Dockerfile:3: COPY: --from: there are no files"})
	err = fails(t, store, "FROM scratch\nCOPY x /\n", "")
	check.ErrorHas(t, "COPY without a context", err, []string{"Dockerfile:2: COPY: there is no context"})
	err = fails(t, store, "FROM none/such:1\n", "")
	check.ErrorHas(t, "FROM an image that is not there", err, []string{"Dockerfile:1: FROM none/such:1", "not found"})
}

// archive is a tar of headers whose Linkname, for a file, is its content.
func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname, h.Size = h.Linkname, "", int64(len(h.Linkname))
		}
		check.NoError(t, "write a header", w.WriteHeader(&h))
		_, err := w.Write([]byte(content))
		check.NoError(t, "write", err)
	}
	check.NoError(t, "close", w.Close())
	return text.Bytes()
}

func TestAdd_Archives(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	plain := archive(t, tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}, tar.Header{Typeflag: tar.TypeReg, Name: "./in/f", Mode: 0o640, Uid: 3, Gid: 4, Linkname: "1"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/in/f", Mode: 0o777}, tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "in/f"})
	dir := t.TempDir()
	write := func(name string, data []byte) {
		check.NoError(t, "write", os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	write("a.tar", plain)
	var gz, zs, xzText bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(plain)
	g.Close()
	z, _ := zstd.NewWriter(&zs)
	z.Write(plain)
	z.Close()
	x, _ := xz.NewWriter(&xzText)
	x.Write(plain)
	x.Close()
	write("a.tar.gz", gz.Bytes())
	write("a.tar.zst", zs.Bytes())
	write("a.tar.xz", xzText.Bytes())
	write("no.tar", []byte("no archive"))
	write("no.gz", []byte("\x1f\x8b no gzip"))
	write("evil.tar", archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "../evil", Linkname: "x", Mode: 0o644}))
	write("link.tar", archive(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "out", Linkname: "/", Mode: 0o777}, tar.Header{Typeflag: tar.TypeReg, Name: "out/evil", Linkname: "x", Mode: 0o644}))
	write("wh.tar", archive(t, tar.Header{Typeflag: tar.TypeReg, Name: ".wh.f", Mode: 0o644}))
	write("dev.tar", archive(t, tar.Header{Typeflag: tar.TypeChar, Name: "mem", Mode: 0o644, Devmajor: 1, Devminor: 1}))
	write("f", []byte("2"))
	store := emptyStore(t)
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tar.zst", "a.tar.xz"} {
		_, img := build(t, store, "FROM scratch\nCOPY f /n/in/old\nADD "+name+" /n/\n", dir)
		files := listFiles(t, store, img)
		check.Equal(t, "a file of "+name, "-rw-r----- 3:4 1", files["/n/in/f"])
		check.Equal(t, "a hard link of "+name, "-rw-r----- 3:4 1", files["/n/h"])
		check.Equal(t, "a link of "+name, "Lrwxrwxrwx -> /in/f", files["/n/l"])
		check.Equal(t, "what was there", "-rw-r--r-- 2", files["/n/in/old"])
	}
	_, img := build(t, store, "FROM scratch\nADD --chown=5:6 --chmod=700 a.tar no.tar no.gz /n/\nADD --unpack=false a.tar /m\nCOPY a.tar /o\n", dir)
	files := listFiles(t, store, img)
	check.Equal(t, "a file of an archive with --chown and --chmod", "-rw-r----- 5:6 1", files["/n/in/f"])
	link := "Lrwxrwxrwx 5:6 -> /in/f"
	if owners() == images.Single { // a link has no attributes
		link = "Lrwxrwxrwx -> /in/f"
	}
	check.Equal(t, "a link of an archive with --chown", link, files["/n/l"])
	check.Equal(t, "what is no archive", "-rwx------ 5:6 no archive", files["/n/no.tar"])
	check.True(t, "an archive that is copied", strings.HasPrefix(files["/o"], "-rw-r--r-- ") && files["/o"] == files["/m"], files["/o"], "a file")
	for name, want := range map[string]string{"evil.tar": "..", "link.tar": "out/evil", "wh.tar": ".wh.", "dev.tar": "device node"} {
		err := fails(t, store, "FROM scratch\nADD "+name+" /n/\n", dir)
		check.ErrorHas(t, "ADD "+name, err, []string{"Dockerfile:2: ADD: " + name, want})
	}
	check.Equal(t, "snapshots that are left", "[lock]", dirNames(t, store.Path("active")))
}
