package trial

import (
	"fmt"
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

// compileError finds the error that the reader can do something about. A name
// that an exercise must declare and does not, or with another signature, is that
// exercise's error wherever the compiler met it; else the first error in a
// written exercise's file counts.
func compileError(t *workshop.Tree, layer workshop.Layer, output string) *CompileError {
	rewrite := rewriter(t, layer)
	c := &CompileError{Output: strings.TrimSpace(rewrite(output))}
	places := errorPlaces(output)
	if len(places) == 0 {
		c.First = firstLine(c.Output)
		return c
	}
	c.First, c.More = rewrite(places[0].text), len(places)-1
	broken := contracts(t, layer)
	for _, p := range places {
		for _, b := range broken {
			if b.named(p.text) {
				c.ID, c.First, c.Advice = b.e.ID, rewrite(p.text), b.says
				return c
			}
		}
		for _, e := range exercise.All() {
			own := p.file == e.File || strings.Contains(p.text, "redeclared") && strings.Contains(p.text, e.File+":")
			if own && layer[e.File] == "" {
				c.ID, c.First = e.ID, rewrite(p.text)
				c.Advice = collision(c.First)
				return c
			}
		}
	}
	if len(broken) > 0 {
		c.ID, c.Advice = broken[0].e.ID, broken[0].says
		return c
	}
	c.Advice = "this file is no exercise: `git status` shows whether it was changed or added here"
	return c
}

// A place is one error of the compiler, its continuation lines joined to it.
type place struct{ file, text string }

func errorPlaces(output string) (places []place) {
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		m := position.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		p := place{filepath.ToSlash(filepath.Clean(m[1])), m[0]}
		for _, more := range lines[i+1:] { // "\tother declaration of X", "\thave (int)"
			if !strings.HasPrefix(more, "\t") {
				break
			}
			p.text += "; " + strings.TrimSpace(more)
		}
		places = append(places, p)
	}
	return places
}

var redeclared = regexp.MustCompile(`^(\S+?):\S* .*?(\S+) redeclared in this block; (\S+?):`)

// collision explains a name that two files declare.
func collision(line string) string {
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
