package grade

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"coracle/internal/exercise"
	"coracle/internal/workshop"
)

// refused are packages of the standard library that an exercise may import only
// if its stub, its reference or given code of its package does: what reaches past
// Go's types, runs other programs, or speaks to the testing package.
var refused = []string{"C", "unsafe", "plugin", "embed", "os/exec", "reflect", "testing", "runtime/debug", "runtime/coverage", "internal", "debug", "go"}

// inspect reads a file before it is built. An error is worded for its author.
func inspect(t *workshop.Tree, e exercise.Exercise, src []byte) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path.Base(e.File), src, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("does not parse: %w", err)
	}
	allowed, directives := permitted(t, e)
	names := map[string]bool{} // how the file calls what it imports
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		if !allowed[p] && !harmless(p) {
			return fmt.Errorf("imports %q, which neither the stub nor its reference needs", p)
		}
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		if name == "." {
			return fmt.Errorf("imports %q into its own names", p)
		}
		names[name] = true
	}
	for _, c := range f.Comments {
		for _, line := range c.List {
			word, _, _ := strings.Cut(line.Text, " ")
			if (strings.HasPrefix(word, "//go:") || word == "//export" || word == "//line") && !directives[word] {
				return fmt.Errorf("line %d: the directive %s is not allowed here", fset.Position(line.Pos()).Line, word)
			}
		}
	}
	for _, name := range declared(f) {
		if types.Universe.Lookup(name) != nil {
			return fmt.Errorf("declares %s, which would change what the tests mean by it", name)
		}
	}
	return foreignWrite(fset, f, names)
}

// harmless says whether a package is of the standard library and not refused.
func harmless(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first != "coracle" &&
		!slices.ContainsFunc(refused, func(r string) bool { return p == r || strings.HasPrefix(p, r+"/") })
}

// permitted returns the imports and directives of the stub, the reference, the
// alternatives and the package's given code.
func permitted(t *workshop.Tree, e exercise.Exercise) (imports, directives map[string]bool) {
	files := []string{t.Path(e.Solution())}
	more, _ := filepath.Glob(t.Path("solutions/alternatives/" + e.ID + "/*.go"))
	given, _ := filepath.Glob(t.Path(e.Dir() + "/*.go"))
	exercises := map[string]bool{}
	for _, o := range exercise.All() {
		exercises[t.Path(o.File)] = true
	}
	given = slices.DeleteFunc(given, func(f string) bool { return strings.HasSuffix(f, "_test.go") || exercises[f] })
	imports, directives = map[string]bool{"coracle/internal/exercise": true}, map[string]bool{}
	for _, name := range slices.Concat(files, more, given) {
		src, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		own := name == files[0]
		for _, i := range f.Imports {
			if p, err := strconv.Unquote(i.Path.Value); err == nil && (own || slices.Contains(more, name) || p != "unsafe" && p != "os/exec") {
				imports[p] = true
			}
		}
		for _, c := range f.Comments {
			for _, line := range c.List {
				if word, _, _ := strings.Cut(line.Text, " "); own && strings.HasPrefix(word, "//go:") && word != "//go:linkname" {
					directives[word] = true
				}
			}
		}
	}
	return imports, directives
}

// declared returns the file's top-level names.
func declared(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				case *ast.ImportSpec:
					if s.Name != nil {
						names = append(names, s.Name.Name)
					}
				}
			}
		}
	}
	return names
}

// foreignWrite finds an assignment to, or the address of, another package's
// variable: os.Args, io.EOF, os.ErrNotExist. No exercise asks for one.
func foreignWrite(fset *token.FileSet, f *ast.File, imported map[string]bool) (err error) {
	foreign := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.ParenExpr:
				e = x.X
				continue
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.SelectorExpr:
				if id, ok := x.X.(*ast.Ident); ok && id.Obj == nil && imported[id.Name] && err == nil { // Obj: a local name hides the import
					err = fmt.Errorf("line %d: changes %s.%s, which belongs to another package", fset.Position(x.Pos()).Line, id.Name, x.Sel.Name)
				}
			}
			return
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				foreign(l)
			}
		case *ast.IncDecStmt:
			foreign(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				foreign(n.X)
			}
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				foreign(n.Key)
				foreign(n.Value)
			}
		}
		return true
	})
	return err
}
