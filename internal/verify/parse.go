package verify

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"strconv"
	"strings"
)

// A testFunc is one top-level test and the exercises of its exercise.Need calls.
type testFunc struct {
	name  string
	needs []string // in order, all calls together
}

// readTests reads the top-level tests of a file.
func readTests(name string) ([]testFunc, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var tests []testFunc
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") || fn.Name.Name == "TestMain" {
			continue
		}
		t := testFunc{name: fn.Name.Name}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Need" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "exercise" && len(call.Args) > 0 {
					for _, a := range call.Args[1:] {
						if lit, ok := a.(*ast.BasicLit); ok {
							if id, err := strconv.Unquote(lit.Value); err == nil {
								t.needs = append(t.needs, id)
							}
						}
					}
				}
			}
			return true
		})
		tests = append(tests, t)
	}
	return tests, nil
}

// readNames returns a file's top-level names; a method is "Type.Name", and left
// out where its type is declared in the same file.
func readNames(name string) (map[string]bool, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names, methods := map[string]bool{}, map[string]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names[d.Name.Name] = true
			} else if t := receiver(d.Recv.List[0].Type); t != "" {
				methods[t+"."+d.Name.Name] = t
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	delete(names, "_")
	delete(names, "init")
	for m, t := range methods {
		if !names[t] {
			names[m] = true
		}
	}
	return names, nil
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// identifiers returns every name that a file mentions outside its imports.
func identifiers(name string) map[string]bool {
	used := map[string]bool{}
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return used
	}
	for _, d := range f.Decls {
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				used["."+n.Sel.Name] = true
			case *ast.Ident:
				used[n.Name] = true
			}
			return true
		})
	}
	for u := range maps.Clone(used) {
		if m, ok := strings.CutPrefix(u, "."); ok {
			used[m] = true
		}
	}
	return used
}

// unwritten returns the functions of a stub, and whether a body returns exercise.Unwritten.
func unwritten(src []byte) (names []string, says bool) {
	f, err := parser.ParseFile(token.NewFileSet(), "stub.go", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, false
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		names = append(names, fn.Name.Name)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Unwritten" {
				says = true
			}
			return true
		})
	}
	return names, says
}
