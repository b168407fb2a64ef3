package book

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coracle/internal/exercise"
	"coracle/internal/sandbox"
	"coracle/internal/workshop"
)

var update = flag.Bool("update", false, "cut the code of all pages anew")

func TestMain(m *testing.M) {
	flag.Parse()
	if *update { // it writes the pages
		os.Exit(m.Run())
	}
	os.Exit(sandbox.Main(m, sandbox.Options{Dir: "internal/book", Cgroup: true, Writable: []string{goEnv("GOCACHE")}}))
}

func goEnv(name string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	out, _ := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out))
}

func tree(t *testing.T) *workshop.Tree {
	tree, err := workshop.Find(".")
	require.NoError(t, err)
	return tree
}

func pages(t *testing.T, root string) []*Page {
	files := []string{filepath.Join(root, "README.md")}
	for _, folder := range []string{"chapters", "chapters/instructors"} {
		found, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
		require.NoError(t, err)
		files = append(files, found...)
	}
	var pages []*Page
	for _, file := range files {
		p, err := ReadPage(file)
		require.NoError(t, err)
		pages = append(pages, p)
	}
	return pages
}

func TestChapters_HoldTheRules(t *testing.T) {
	root := tree(t).Root
	for _, p := range pages(t, root) {
		if *update {
			text, err := p.Update(root)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(p.Path, []byte(text), 0o644))
			continue
		}
		assert.Empty(t, strings.Join(p.Check(root), "\n"))
	}
}

// The instructor's guide has a section for every exercise, with the table's minutes.
func TestInstructors_FollowTheTable(t *testing.T) {
	for _, c := range exercise.Chapters() {
		p, err := ReadPage(filepath.Join(tree(t).Root, "chapters/instructors", c.Dir+".md"))
		require.NoError(t, err)
		var has []string
		for _, h := range p.Headings {
			has = append(has, strings.ToLower(h.Text))
		}
		for _, e := range exercise.Of(c.N) {
			assert.Contains(t, has, strings.ToLower(fmt.Sprintf("%s %s (%d minutes)", e.ID, e.Title, e.Minutes)))
		}
	}
}

// needs are what a session can ask for, each a command that succeeds where the
// machine has it; run in the copy, as the session would be.
var needs = map[string]string{
	"bash":    "command -v bash",
	"cgroup2": "grep -q memory /sys/fs/cgroup/cgroup.controllers",
	"git":     "command -v git",
	"groups":  "./lab run 2 limit --memory 256M --cpus 1 --pids 64 -- true",
	"overlay": `printf 'FROM scratch\nCOPY lab /\n' | ./lab run 3 image --store "$HOME/probe" build -f - .`,
	"skopeo":  "command -v skopeo",
	"umoci":   "command -v umoci",
	"vm":      "./lab vm run -- true",
}

func TestChapters_SessionsRun(t *testing.T) {
	if *update || testing.Short() {
		t.Skip("sessions are not run with -update or -short")
	}
	sandbox.Need(t)
	for _, p := range pages(t, tree(t).Root) {
		t.Run(filepath.Base(p.Path), func(t *testing.T) {
			var copied string
			has := map[string]bool{}
			home := t.TempDir()
			// The virtual machine's kernel cannot be downloaded from in here.
			if cache, err := os.UserCacheDir(); err == nil {
				require.NoError(t, os.MkdirAll(filepath.Join(home, ".cache/coracle"), 0o755))
				require.NoError(t, os.Symlink(filepath.Join(cache, "coracle/vm"), filepath.Join(home, ".cache/coracle/vm")))
			}
			env := []string{"HOME=" + home, "GOCACHE=" + goEnv("GOCACHE"), "GOMODCACHE=" + goEnv("GOMODCACHE"), "GOPATH=" + goEnv("GOPATH"),
				"GOFLAGS=" + goEnv("GOFLAGS"), "GOPROXY=off", "XDG_CACHE_HOME=" + filepath.Join(home, ".cache"), "TERM=dumb", "NO_COLOR=1", "COLUMNS=100", "LC_ALL=C.UTF-8",
				"CORACLE_STORE=" + filepath.Join(home, "coracle-store"), "CORACLE_SANDBOX=", "CORACLE_SANDBOX_MODE=", "CORACLE_SANDBOX_WRITABLE="}
			for _, b := range p.Blocks {
				if b.Lang != "console" || b.Options["by-hand"] != "" {
					continue
				}
				if copied == "" {
					copied = fresh(t)
				}
				if lacks := lacking(t, b, has, copied, env); lacks != "" {
					t.Logf("%s:%d: not run: this machine has no %s", p.Path, b.Line, lacks)
					continue
				}
				for _, s := range b.Steps() {
					if err := s.Run(t.Context(), copied, env); err != nil {
						t.Errorf("%s:%d: %v", filepath.Base(p.Path), s.Line, err)
					}
				}
			}
		})
	}
}

// lacking returns the first of a session's needs that the machine does not have. has
// is what is known already.
func lacking(t *testing.T, b Block, has map[string]bool, dir string, env []string) string {
	for need := range strings.SplitSeq(b.Options["needs"], ",") {
		if need == "" {
			continue
		}
		require.Contains(t, needs, need, "line %d", b.Line)
		if _, known := has[need]; !known {
			has[need] = Step{Command: needs[need]}.succeeds(t.Context(), dir, env)
		}
		if !has[need] {
			return need
		}
	}
	return ""
}

// fresh copies the tree as a new reader has it: every exercise a stub.
func fresh(t *testing.T) string {
	from, to := tree(t), t.TempDir()
	err := filepath.WalkDir(from.Root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from.Root, path)
		switch {
		case err != nil:
			return err
		case rel == ".git" && !d.IsDir(): // of a worktree
			return nil
		case rel == ".git" || rel == ".lab":
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, info.Mode())
	})
	require.NoError(t, err)
	for _, e := range exercise.All() {
		stub, err := from.Stub(e)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, filepath.FromSlash(e.File)), stub, 0o644))
	}
	return to
}
