package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	images "coracle/03-images"
	"coracle/internal/exercise"
)

// paths finds and lists what words name: "source: entries…".
func paths(t *testing.T, tree *Tree, words ...string) ([]string, error) {
	t.Helper()
	f, err := locate(tree, &Step{Sources: words, Dest: "/"})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, src := range f.sources {
		line := src.Name + ":"
		for e, err := range tree.Entries(src, nil) {
			if err != nil {
				return nil, err
			}
			line += " " + e.Path
		}
		all = append(all, line)
	}
	return all, nil
}

func openContext(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	tree, err := OpenContext(folder(t, files), "")
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

func TestContext_PathsAndGlobs(t *testing.T) {
	tree := openContext(t, map[string]string{"a.go": "", "b.go": "", "c.txt": "", "d/e.go": "", "d/f/g": "", "empty/": "", "l -> d/f": "", "[x]": "", "up -> d/../a.go": ""})
	for word, want := range map[string]string{
		"a.go": "a.go: a.go", "./a.go": "a.go: a.go", "/a.go": "a.go: a.go", "d/../a.go": "a.go: a.go",
		"*.go": "a.go: a.go|b.go: b.go", "?.txt": "c.txt: c.txt", "d/*": "e.go: e.go|f: . g", "*/*.go": "e.go: e.go",
		"[ab].go": "a.go: a.go|b.go: b.go", `\[x\]`: "[x]: [x]", "d": "d: . e.go f f/g", "d/": "d: . e.go f f/g", "empty": "empty: .",
		"l": "l: . g", "l/g": "g: g", "up": "up: up", // a link that is named is followed
		".": ".: . [x] a.go b.go c.txt d d/e.go d/f d/f/g empty l up",
	} {
		got, err := paths(t, tree, word)
		require.NoError(t, err, word)
		assert.Equal(t, want, strings.Join(got, "|"), word)
	}
	for word, want := range map[string]string{
		"none": "none: no such file", "*.none": "nothing matches", "../x": "outside the context", "d/../../x": "outside the context",
		"a.go/x": "a.go/x: ", "[": "syntax error in pattern",
	} {
		_, err := paths(t, tree, word)
		assert.ErrorContains(t, err, want, word)
	}
}

func TestContext_LinksThatLeadOut(t *testing.T) {
	exercise.NeedAll(t)
	out := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(out, "secret"), []byte("secret"), 0o600))
	tree := openContext(t, map[string]string{"abs -> " + out: "", "rel -> ../../../../../../../etc": "", "deep/loop -> loop": "", "two -> deep/three": "",
		"deep/three -> ../../x": "", "in/link -> " + out + "/secret": ""})
	for _, word := range []string{"abs", "abs/secret", "a*s", "rel", "rel/passwd", "two", "*/three", "deep/three"} {
		_, err := paths(t, tree, word)
		assert.ErrorContains(t, err, "leads out of the context", word)
	}
	_, err := paths(t, tree, "deep/loop")
	assert.ErrorContains(t, err, "too many links")
	got, err := paths(t, tree, "in") // inside a folder a link is copied, not followed
	require.NoError(t, err)
	assert.Equal(t, []string{"in: . link"}, got)
	sum, err := Checksum(tree.Entries(Source{Name: "in", Dir: true, at: "in"}, nil), tree.Open)
	require.NoError(t, err)
	assert.NoError(t, sum.Validate())
}

// In an image's files a link that leads above is one that leads to /.
func TestTree_LinksOfAnImage(t *testing.T) {
	dir := folder(t, map[string]string{"etc/conf": "", "abs -> /etc": "", "up -> ../../etc/conf": "", "etc/here -> ./conf": ""})
	tree, err := ImageTree(dir, images.Kernel)
	require.NoError(t, err)
	defer tree.Close()
	for word, want := range map[string]string{"/abs/conf": "conf: conf", "/up": "up: up", "etc/here": "here: here", "../../etc/conf": "conf: conf"} {
		got, err := paths(t, tree, word)
		require.NoError(t, err, word)
		assert.Equal(t, want, strings.Join(got, "|"), word)
	}
}

func TestContext_Ignore(t *testing.T) {
	for _, c := range []struct{ ignore, word, want string }{
		{"*.log\nsecret", ".", ".: . .dockerignore a d d/b"},
		{"**/*.log", ".", ".: . .dockerignore a d d/b secret secret/k"},
		{"d", ".", ".: . .dockerignore a secret secret/k x.log"},
		{"*\n!d/b", ".", ".: . d d/b"},
		{"*\n!d/b", "d", "d: . b"},
		{"*\n!d/b", "*", "d: . b|secret: ."},
		{"d/*\n!d/b", "d", "d: . b"},
		{"# comment\n\n/a\n", ".", ".: . .dockerignore d d/b d/y.log secret secret/k x.log"},
		{".dockerignore\na\nsecret\n*.log", ".", ".: . d d/b d/y.log"},
		{"secret\n", "*", ".dockerignore: .dockerignore|a: a|d: . b y.log|x.log: x.log"},
	} {
		tree := openContext(t, map[string]string{"a": "", "d/b": "", "d/y.log": "", "secret/k": "", "x.log": "", ".dockerignore": c.ignore})
		got, err := paths(t, tree, c.word)
		require.NoError(t, err, c.ignore)
		if c.ignore == "*.log\nsecret" {
			c.want = ".: . .dockerignore a d d/b d/y.log" // *.log is about the top folder alone
		}
		assert.Equal(t, c.want, strings.Join(got, "|"), c.ignore)
	}
	tree := openContext(t, map[string]string{"secret/k": "", "l -> secret/k": "", ".dockerignore": "secret"})
	for _, word := range []string{"secret", "secret/k", "l"} {
		_, err := paths(t, tree, word)
		assert.ErrorContains(t, err, ".dockerignore leaves it out", word)
	}
	dir := folder(t, map[string]string{".dockerignore": "[", "good.dockerignore": "a"})
	_, err := OpenContext(dir, "")
	assert.ErrorContains(t, err, ".dockerignore: ")
	tree, err = OpenContext(dir, filepath.Join(dir, "good")) // the Dockerfile's own counts instead
	require.NoError(t, err)
	tree.Close()
}

func TestContext_OddFilesAreNamed(t *testing.T) {
	dir := folder(t, map[string]string{"d/": ""})
	require.NoError(t, mkfifo(filepath.Join(dir, "d", "pipe")))
	tree, err := OpenContext(dir, "")
	require.NoError(t, err)
	defer tree.Close()
	_, err = paths(t, tree, "d")
	assert.ErrorContains(t, err, "d/pipe: it is neither file nor folder nor link")
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"a/b", "../..", "abs/x", "rel/../y", "loop", "/", "a//b/./c", "in/../../up"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	dir := f.TempDir()
	for link, to := range map[string]string{"abs": "/etc", "rel": "../../etc", "loop": "loop", "in": "d", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			f.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, name string, guest bool) {
		at, err := resolve(root, name, guest)
		if err != nil {
			return
		}
		if at != "." && !filepath.IsLocal(at) {
			t.Fatalf("resolve(%q, %v) = %q, which is outside", name, guest, at)
		}
		if again, err := resolve(root, at, guest); err != nil || again != at {
			t.Fatalf("resolve(%q) = %q, and of that %q, %v", name, at, again, err)
		}
	})
}
