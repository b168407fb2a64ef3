package trial

import (
	"path/filepath"
	"regexp"
	"strings"

	"coracle/internal/workshop"
)

// source matches a place in a Go file: a path and a line, with a column where
// the compiler gives one.
var source = regexp.MustCompile(`([^\s:"'(]+\.go)(:\d+(?::\d+)?)`)

// rewriter returns a function that makes the paths in a text relative to the
// root and says of borrowed files that they are: with -overlay, the runtime
// names the file that was replaced, the compiler the one that replaces it.
func rewriter(t *workshop.Tree, layer workshop.Layer) func(string) string {
	return func(text string) string {
		return source.ReplaceAllStringFunc(text, func(place string) string {
			m := source.FindStringSubmatch(place)
			rel := m[1]
			if filepath.IsAbs(rel) {
				inside, err := filepath.Rel(t.Root, rel)
				if err != nil || strings.HasPrefix(inside, "..") {
					return place
				}
				rel = inside
			}
			rel = filepath.ToSlash(filepath.Clean(rel))
			switch {
			case layer[rel] == t.Path("solutions/"+rel):
				return "solutions/" + rel + m[2] + " (borrowed)"
			case strings.HasPrefix(rel, "solutions/"):
				return rel + m[2] + " (borrowed)"
			}
			return rel + m[2]
		})
	}
}
