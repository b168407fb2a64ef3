package verify

import (
	"crypto/sha256"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"coracle/internal/workshop"
)

// sources is the module as it was when the run began: what a build reads.
type sources struct {
	root, module string
	base         string              // hash of go.mod, go.sum and the toolchain
	files        map[string][]string // folder → slash paths of its Go files
	other        map[string][]string // folder → its other files

	mu     sync.Mutex
	parsed map[string]source // by absolute path
}

type source struct {
	hash    string
	imports []string
	err     error
}

// readSources lists the module's files, without what starts with a dot and
// without solutions, which are only ever laid over.
func readSources(root string) (*sources, error) {
	s := &sources{root: root, files: map[string][]string{}, other: map[string][]string{}, parsed: map[string]source{}}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		switch {
		case rel == ".":
		case strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_"), rel == "solutions":
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.Type().IsRegular():
		case strings.HasSuffix(rel, ".go") && !strings.Contains(rel, "testdata/"):
			s.files[path.Dir(rel)] = append(s.files[path.Dir(rel)], rel)
		default:
			s.other[path.Dir(rel)] = append(s.other[path.Dir(rel)], rel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	s.module = strings.TrimSpace(strings.TrimPrefix(first, "module "))
	sum, _ := os.ReadFile(filepath.Join(root, "go.sum"))
	version, err := goTool(root, "env", "GOVERSION", "GOFLAGS", "GOARCH")
	s.base = digest(string(mod), string(sum), version)
	return s, err
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:32]
}

func (s *sources) dirs() []string { return slices.Sorted(maps.Keys(s.files)) }

func (s *sources) hasTests(dir string) bool {
	return slices.ContainsFunc(s.files[dir], func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

// of reads and parses one file, once.
func (s *sources) of(abs string) source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.parsed[abs]; ok {
		return f
	}
	f := source{}
	data, err := os.ReadFile(abs)
	if err != nil {
		f.err = err
	} else {
		f.hash = digest(string(data))
		if file, err := parser.ParseFile(token.NewFileSet(), abs, data, parser.ImportsOnly); err == nil {
			for _, i := range file.Imports {
				f.imports = append(f.imports, strings.Trim(i.Path.Value, `"`))
			}
		}
	}
	s.parsed[abs] = f
	return f
}

// inputs returns, for the tests of the package in dir over a layer, the module's
// files that go in and where each is read from.
func (s *sources) inputs(dir string, l workshop.Layer) map[string]string {
	in := map[string]string{}
	seen := map[string]bool{}
	var visit func(d string, tests bool)
	visit = func(d string, tests bool) {
		if seen[d] {
			return
		}
		seen[d] = true
		for _, f := range s.files[d] {
			if strings.HasSuffix(f, "_test.go") && !tests {
				continue
			}
			abs, ok := l[f]
			if !ok {
				abs = filepath.Join(s.root, filepath.FromSlash(f))
			}
			in[f] = abs
			for _, i := range s.of(abs).imports {
				if rel, ok := strings.CutPrefix(i, s.module+"/"); ok {
					visit(rel, false)
				}
			}
		}
		// What may be embedded or read: other files here and in folders that are no packages.
		for o, files := range s.other {
			if o == d || s.inside(o, d) && (tests || !strings.Contains(o, "testdata")) {
				for _, f := range files {
					in[f] = filepath.Join(s.root, filepath.FromSlash(f))
				}
			}
		}
	}
	visit(dir, true)
	return in
}

// inside says whether folder o belongs to the package in d and to no other below it.
func (s *sources) inside(o, d string) bool {
	for ; o != d; o = path.Dir(o) {
		if s.files[o] != nil || o == "." || len(o) < len(d) {
			return false
		}
	}
	return true
}

// key names the content of a build by everything that goes in.
func (s *sources) key(dir string, l workshop.Layer) string {
	in := s.inputs(dir, l)
	parts := []string{s.base, dir}
	for _, f := range slices.Sorted(maps.Keys(in)) {
		parts = append(parts, f, s.of(in[f]).hash)
	}
	return digest(parts...)
}

// whole names the content of the tree, solutions included, over a layer.
func (s *sources) whole(l workshop.Layer) string {
	parts := []string{s.base}
	filepath.WalkDir(s.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".git" || d.Name() == ".lab") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			rel, _ := filepath.Rel(s.root, p)
			if over, ok := l[filepath.ToSlash(rel)]; ok {
				p = over
			}
			parts = append(parts, rel, s.of(p).hash)
		}
		return nil
	})
	return digest(parts...)
}

func fileHash(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil))[:32], err
}
