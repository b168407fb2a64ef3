package trial

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// A CompileError is what the compiler said, read for a person.
type CompileError struct {
	ID     string // the exercise whose file must change; "" if none could be told
	First  string // the error to look at first, one line
	Advice string // what it means, where it is not in the reader's own file; may be empty
	More   int    // errors besides the first
	Output string // all of it, borrowed files named
}

var position = regexp.MustCompile(`^(\S+\.go):(\d+)(?::\d+)?: (.*)`)

// compileError finds the error that the reader can do something about: the
// first in a written exercise's file; else one elsewhere that speaks of a name
// which such a file must declare.
func compileError(t *workshop.Tree, layer workshop.Layer, output string) *CompileError {
	c := &CompileError{Output: strings.TrimSpace(rewriter(t, layer)(output))}
	type place struct{ file, line, id string }
	var places []place
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		m := position.FindStringSubmatch(strings.TrimPrefix(line, "vet: "))
		if m == nil {
			continue
		}
		text := m[0]
		for _, more := range lines[i+1:] { // "\tother declaration of X", "\thave (int)"
			if !strings.HasPrefix(more, "\t") {
				break
			}
			text += "; " + strings.TrimSpace(more)
		}
		file := filepath.ToSlash(filepath.Clean(m[1]))
		p := place{file: file, line: rewriter(t, layer)(text)}
		if e, ok := byFile(file); ok && layer[file] == "" {
			p.id = e.ID
		}
		places = append(places, p)
	}
	if len(places) == 0 {
		c.First = firstLine(c.Output)
		return c
	}
	c.More = len(places) - 1
	for _, p := range places {
		if p.id != "" {
			c.ID, c.First = p.id, p.line
			c.Advice = collision(layer, p.line)
			return c
		}
	}
	for _, p := range places {
		c.First = p.line
		for _, e := range exercise.All() {
			if layer[e.File] != "" || !sameFolder(p.file, e) {
				continue
			}
			if name := mentions(t, e, p.line); name != "" {
				c.ID = e.ID
				c.Advice = fmt.Sprintf("%s must declare %s as its stub does: names and signatures of an exercise are fixed, others call them", e.File, name)
				if strings.Contains(p.line, "redeclared") {
					c.Advice = collision(layer, p.line)
				}
				return c
			}
			if strings.Contains(p.line, e.File+":") {
				c.ID, c.Advice = e.ID, collision(layer, p.line)
				return c
			}
		}
	}
	c.First = places[0].line
	c.Advice = "this file is no exercise: `git diff` shows whether it was changed here"
	return c
}

var redeclared = regexp.MustCompile(`^(\S+?):\S* .*?(\S+) redeclared in this block; (\S+?):`)

// collision explains a name that two files declare.
func collision(layer workshop.Layer, line string) string {
	m := redeclared.FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	own, other := m[1], m[3]
	if strings.HasPrefix(own, "solutions/") {
		own, other = other, own
	}
	what := "given"
	if strings.HasPrefix(other, "solutions/") {
		what = "borrowed"
	}
	return fmt.Sprintf("%s and the %s %s both declare %s: give yours another name", own, what, other, m[2])
}

func byFile(file string) (exercise.Exercise, bool) {
	for _, e := range exercise.All() {
		if e.File == file {
			return e, true
		}
	}
	return exercise.Exercise{}, false
}

func sameFolder(file string, e exercise.Exercise) bool {
	return strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "solutions/") == e.Dir()
}

// mentions returns the first name that the exercise's stub declares and the line speaks of.
func mentions(t *workshop.Tree, e exercise.Exercise, line string) string {
	stub, err := t.Stub(e)
	if err != nil {
		return ""
	}
	f, err := parser.ParseFile(token.NewFileSet(), e.File, stub, 0)
	if err != nil {
		return ""
	}
	_, message, _ := strings.Cut(line, ": ")
	for name := range declared(f) {
		if regexp.MustCompile(`\b` + name + `\b`).MatchString(message) {
			return name
		}
	}
	return ""
}

// declared yields the names that other files may use: top-level ones and methods.
func declared(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name != "_" {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return strings.TrimSpace(s)
}

// Explain words what the compiler said of a program in one line.
func Explain(t *workshop.Tree, layer workshop.Layer, output string) string {
	c := compileError(t, layer, output)
	says := "it does not compile: " + c.First
	if c.ID != "" {
		says = c.ID + " does not compile: " + c.First
	}
	if c.Advice != "" {
		says += "; " + c.Advice
	}
	return says
}
