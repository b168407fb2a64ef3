package trial

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// A breach is a name of an exercise's stub that the reader's file declares no
// longer, or with another signature. Other files call it, so the compiler finds
// the error there.
type breach struct {
	e    exercise.Exercise
	name string
	says string
}

func (b breach) named(text string) bool {
	_, message, _ := strings.Cut(text, ": ")
	return regexp.MustCompile(`\b` + b.name + `\b`).MatchString(message)
}

// contracts lists the breaches of the exercises that the layer leaves to the reader.
func contracts(t *workshop.Tree, layer workshop.Layer) (all []breach) {
	for _, e := range exercise.All() {
		if layer[e.File] != "" {
			continue
		}
		stub, err := t.Stub(e)
		if err != nil {
			continue
		}
		src, err := os.ReadFile(t.Path(e.File))
		if err != nil {
			continue
		}
		want, have := declared(stub), declared(src)
		if have == nil {
			continue // a syntax error, which the compiler reports in this file
		}
		for name, sig := range want {
			switch now, ok := have[name]; {
			case !ok:
				all = append(all, breach{e, name, fmt.Sprintf("%s must declare %s as its stub does, others use it: %s", e.File, name, sig)})
			case now != sig:
				all = append(all, breach{e, name, fmt.Sprintf("%s must declare %s as its stub does, others use it: want %s, it is %s", e.File, name, sig, now)})
			}
		}
	}
	return all
}

// declared maps top-level names to what they are, functions to their signature
// without the parameters' names; nil for a file with a syntax error.
func declared(src []byte) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	names := map[string]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(d.Name.Name) {
				names[d.Name.Name] = "func" + list(d.Type.Params) + results(d.Type.Results)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = "a type"
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name != "_" {
							names[n.Name] = "a " + d.Tok.String()
						}
					}
				}
			}
		}
	}
	return names
}

func results(fields *ast.FieldList) string {
	if fields.NumFields() == 1 {
		return " " + text(fields.List[0].Type)
	}
	return strings.TrimSuffix(" "+list(fields), " ()")
}

func list(fields *ast.FieldList) string {
	if fields == nil {
		return "()"
	}
	var all []string
	for _, f := range fields.List {
		for range max(len(f.Names), 1) {
			all = append(all, text(f.Type))
		}
	}
	return "(" + strings.Join(all, ", ") + ")"
}

func text(e ast.Expr) string {
	var s strings.Builder
	format.Node(&s, token.NewFileSet(), e) // a type of a parsed file always prints
	return s.String()
}
