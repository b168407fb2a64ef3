package verify

import (
	"bytes"
	"context"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coracle/internal/exercise"
)

// longFile is where one idea has usually become two.
const longFile = 250

// formatted: every Go file is as gofmt writes it, and short; solutions included.
func (r *run) formatted(context.Context) error {
	return filepath.WalkDir(r.Tree.Root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(r.Tree.Root, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(rel, ".go") || !d.Type().IsRegular() || !r.concerns(rel) {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if n := bytes.Count(src, []byte("\n")); n > longFile && !strings.HasSuffix(rel, "_test.go") {
			r.report.note(rel, "one idea a file", "has %d lines, more than %d", n, longFile)
		}
		switch out, err := format.Source(src); {
		case err != nil:
			r.report.fail(rel, "", "does not parse: %v", err)
		case !bytes.Equal(out, src):
			r.report.fail(rel, "gofmt -w "+rel, "is not formatted")
		default:
			r.report.pass(1)
		}
		return nil
	})
}

// concerns says whether a file is looked at when one chapter is asked for.
func (r *run) concerns(rel string) bool {
	if r.o.Chapter == 0 {
		return true
	}
	rel = strings.TrimPrefix(rel, "solutions/")
	for _, e := range r.exercises() {
		if strings.HasPrefix(rel, "mistakes/"+e.ID+"/") || strings.HasPrefix(rel, "alternatives/"+e.ID+"/") {
			return true
		}
	}
	return r.chapterOf(filepath.ToSlash(filepath.Dir(rel))) == r.o.Chapter
}

// heavy may not be linked into what is re-executed for every container, nor into
// what a first `./lab test` compiles.
var heavy = []string{"k8s.io/", "github.com/docker/docker", "go.etcd.io/etcd"}

// dockers may link Docker's client: the package, and the program that is there for
// nothing else.
var dockers = []string{"03-images/docker", "03-images/cmd/engine"}

// imports: a chapter imports none after it; chapters 1 to 3, cmd/lab and
// cmd/coracle-runtime none of the heavy modules, save dockers.
func (r *run) imports(ctx context.Context) error {
	l := r.reference()
	var light []string
	var keys []string
	for _, dir := range r.src.dirs() {
		n := r.chapterOf(dir)
		if r.o.Chapter == 0 || n == r.o.Chapter {
			if n != 0 {
				r.backwards(dir, n)
			}
			if (n >= 1 && n <= 3 && !slices.Contains(dockers, dir)) || dir == "cmd/lab" || dir == "cmd/coracle-runtime" {
				light = append(light, dir)
				keys = append(keys, r.src.key(dir, l))
			}
		}
	}
	key, done := digest(append(keys, "deps")...), false
	if len(light) == 0 || r.keep.get(key, &done) {
		r.report.pass(len(light))
		return nil
	}
	overlay, err := r.Tree.Write(l)
	if err != nil {
		return err
	}
	failed := false
	for _, dir := range light {
		args := []string{"list", "-deps", "-f", "{{.ImportPath}}"}
		if overlay != "" {
			args = append(args, "-overlay", overlay)
		}
		out, err := goToolContext(ctx, r.Tree.Root, append(args, "./"+dir)...)
		if err != nil {
			r.report.fail(dir, "", "its imports cannot be listed: %v", err)
			failed = true
			continue
		}
		bad := slices.DeleteFunc(strings.Fields(out), func(p string) bool {
			return !slices.ContainsFunc(heavy, func(h string) bool { return strings.HasPrefix(p, h) })
		})
		if len(bad) > 0 {
			failed = true
			r.report.fail(dir, "keep it behind a process boundary or in a later chapter", "links %s and %d more like it", bad[0], len(bad)-1)
			continue
		}
		r.report.pass(1)
	}
	if !failed {
		r.keep.put(key, true)
	}
	return nil
}

// backwards: neither the package nor its tests import a later chapter.
func (r *run) backwards(dir string, n int) {
	for f := range r.src.inputs(dir, r.reference()) {
		later := slices.IndexFunc(r.Chapters, func(c exercise.Chapter) bool { return c.N > n && strings.HasPrefix(f, c.Dir+"/") })
		if later >= 0 {
			r.report.fail(dir, "declare a small interface where it is used", "imports %s of a later chapter", filepath.ToSlash(filepath.Dir(f)))
			return
		}
	}
	r.report.pass(1)
}
