package book

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// Cut returns the declaration of a symbol ("Spec", "(*Group).Freeze") from a Go
// file, to the letter; with doc its comment too.
func Cut(file, symbol string, doc bool) (string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	cut := func(comment *ast.CommentGroup, n ast.Node) string {
		from := fset.Position(n.Pos()).Offset
		if doc && comment != nil {
			from = fset.Position(comment.Pos()).Offset
		}
		end := fset.Position(n.End()).Offset
		for end < len(src) && src[end] != '\n' { // a comment behind it belongs to it
			end++
		}
		return string(src[from:end]) + "\n"
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if funcName(d) == symbol {
				return cut(d.Doc, d), nil
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if specHas(s, symbol) {
					return cut(d.Doc, d), nil
				}
			}
		}
	}
	return "", fmt.Errorf("%s has no %s", file, symbol)
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	switch t := d.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		return fmt.Sprintf("(*%s).%s", t.X, d.Name.Name)
	default:
		return fmt.Sprintf("%s.%s", t, d.Name.Name)
	}
}

func specHas(s ast.Spec, name string) bool {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Name.Name == name
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.Name == name {
				return true
			}
		}
	}
	return false
}

// source returns what a go block must hold. Exercises' files are never quoted
// from the tree, where the reader writes: only given code and solutions are.
func source(root string, b Block) (string, error) {
	file := b.Options["source"]
	_, doc := b.Options["doc"]
	text, err := Cut(filepath.Join(root, filepath.FromSlash(file)), b.Options["symbol"], doc)
	return strings.TrimRight(text, "\n") + "\n", err
}
