package build

import (
	"archive/tar"
	"os"
	"strings"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
	"coracle/internal/sandbox"
)

// A context that changes between the reading for the key and the copy fails the
// build, and what it was before does not come to mean what it became.
func TestCopy_ContextThatChangesMeanwhile(t *testing.T) {
	exercise.NeedAll(t)
	sandbox.Need(t)
	tarOf := func(content string) string {
		return string(archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "in", Mode: 0o644, Linkname: content}))
	}
	write := func(name, content string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(dir+"/"+name, []byte(content), 0o644) }
	}
	for _, c := range []struct {
		what, step    string
		change, again func(dir string) error
		want          string // of the error
	}{
		{"other content of the same length", "COPY d /n/", write("d/f", "2"), write("d/f", "1"), "d: it changed while it was copied"},
		{"a mode", "COPY d/f /n/", func(dir string) error { return os.Chmod(dir+"/d/f", 0o600) }, func(dir string) error { return os.Chmod(dir+"/d/f", 0o644) }, "f: it changed while it was copied"},
		{"another file", "COPY . /n/", write("d/g", ""), func(dir string) error { return os.Remove(dir + "/d/g") }, "it changed while it was copied"},
		{"a file less", "COPY d /n/", func(dir string) error { return os.Remove(dir + "/d/f") }, write("d/f", "1"), "d: it changed while it was copied"},
		{"a file that was named", "COPY d/f /n/", func(dir string) error { return os.Remove(dir + "/d/f") }, write("d/f", "1"), "no such file"},
		{"an archive", "ADD a.tar /n/", write("a.tar", tarOf("2")), write("a.tar", tarOf("1")), "a.tar: it changed while it was copied"},
		{"what is after an archive's end", "ADD a.tar /n/", write("a.tar", tarOf("1")+"more"), write("a.tar", tarOf("1")), "a.tar: it changed while it was copied"},
	} {
		store := emptyStore(t)
		dir := folder(t, map[string]string{"d/f": "1", "a.tar": tarOf("1")})
		text := "FROM scratch\n" + c.step + "\n"
		b := builder(t, store, text, dir)
		b.Out = writerFunc(func(p []byte) {
			if strings.Contains(string(p), c.step) {
				check.NoError(t, "change the context: "+c.what, c.change(dir))
			}
		})
		_, err := b.Build(t.Context(), "")
		check.ErrorHas(t, c.step+" while this changes: "+c.what, err, []string{"Dockerfile:2: ", c.want})
		check.NoError(t, "change it back: "+c.what, c.again(dir))
		b, img := build(t, store, text, dir)
		check.Equal(t, "steps that ran once it was as before: "+c.what, 1, b.Ran)
		files := listFiles(t, store, img)
		check.True(t, "the image then: "+c.what, files["/n/f"] == "-rw-r--r-- 1" || files["/n/d/f"] == "-rw-r--r-- 1" || files["/n/in"] == "-rw-r--r-- 1", files["/n/f"], "what the context had")
		check.True(t, "the image then: "+c.what, files["/n/d/g"] == "", files["/n/d/g"], "nothing that it did not have")
	}
}
