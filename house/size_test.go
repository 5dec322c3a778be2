package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The house bars. They are limits, not aims: most functions are far below.
const (
	maxFunctionLines    = 80
	maxFileLines        = 400
	maxInterfaceMethods = 5
)

// vagueDirs name no charter: whatever nobody wants to place ends up there.
var vagueDirs = []string{"utils", "util", "common", "types", "models", "helpers", "misc", "pkg", "internal"}

// foreignNouns are other words for things that already have a name (original, variant, entry, source).
var foreignNouns = []string{"thumb", "blob", "asset", "imageurl"}

func TestHouseBars(t *testing.T) {
	packages := map[string]string{} // directory -> its package comment
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || path == "build" || path == "data") {
				return fs.SkipDir
			}
			if slices.Contains(vagueDirs, d.Name()) {
				t.Errorf("%s: a package is named after what it does", path)
			}
			return nil
		case filepath.Ext(path) != ".go":
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		comment, faults := inspect(path, src)
		for _, f := range faults {
			t.Error(f)
		}
		if dir := filepath.Dir(path); !strings.HasSuffix(path, "_test.go") {
			packages[dir] += comment
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, comment := range packages {
		if comment == "" {
			t.Errorf("%s: no file has a package comment; it is the package's charter", dir)
		}
	}
}

// inspect measures one file. It gives the file's package comment and a sentence about each bar that the file breaks.
func inspect(path string, src []byte) (comment string, faults []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", []string{err.Error()}
	}
	report := func(at token.Pos, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s:%d: ", path, fset.Position(at).Line)+fmt.Sprintf(format, args...))
	}
	if n := bytes.Count(src, []byte("\n")); n > maxFileLines {
		report(file.End(), "the file has %d lines, at most %d are allowed", n, maxFileLines)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.InterfaceType:
			if len(n.Methods.List) > maxInterfaceMethods {
				report(n.Pos(), "the interface has %d methods, at most %d are allowed", len(n.Methods.List), maxInterfaceMethods)
			}
		case *ast.Ident:
			name := strings.ReplaceAll(strings.ToLower(n.Name), "thumbor", "") // The name of a program.
			for _, noun := range foreignNouns {
				if strings.Contains(name, noun) {
					report(n.Pos(), "%s: %q is not a word of this house", n.Name, noun)
				}
			}
		}
		return true
	})
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
				report(fn.Pos(), "function %s has %d lines, at most %d are allowed", fn.Name.Name, n, maxFunctionLines)
			}
		}
		if !strings.HasSuffix(path, "_test.go") {
			for _, id := range undocumented(decl) {
				report(id.Pos(), "exported %s has no comment", id.Name)
			}
		}
	}
	return file.Doc.Text(), faults
}

// undocumented are the exported names of decl without a comment of their own; in a group, the group's comment counts
// for constants and variables, not for types.
func undocumented(decl ast.Decl) []*ast.Ident {
	var ids []*ast.Ident
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
			ids = append(ids, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) && s.Name.IsExported() {
					ids = append(ids, s.Name)
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if s.Doc == nil && s.Comment == nil && d.Doc == nil && id.IsExported() {
						ids = append(ids, id)
					}
				}
			}
		}
	}
	return ids
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	for expr := d.Recv.List[0].Type; ; {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// A bar that cannot fail measures nothing: each one is broken here on purpose.
func TestInspectFindsBrokenBars(t *testing.T) {
	long := func(n int) string { return strings.Repeat("\n", n) }
	tests := []struct {
		name, path, src string
		want            string // part of the only sentence; "" = none
	}{
		{"a clean file", "a.go", "// Package a does a.\npackage a\n\n// F does f.\nfunc F() {}\n", ""},
		{"a function at the bar", "a.go", "package a\nfunc f() {" + long(maxFunctionLines-1) + "}", ""},
		{"a function past the bar", "a.go", "package a\nfunc f() {" + long(maxFunctionLines) + "}", "function f has 81 lines"},
		{"a file at the bar", "a.go", "package a" + long(maxFileLines), ""},
		{"a test file past the bar", "a_test.go", "package a" + long(maxFileLines+1), "the file has 401 lines"},
		{"a wide interface", "a.go", "package a\ntype i interface{ A(); B(); C(); D(); E(); F() }", "the interface has 6 methods"},
		{"a bare function", "a.go", "package a\nfunc F() {}", "exported F"},
		{"a bare method", "a.go", "package a\ntype t[K any] struct{}\n\n// T is t.\ntype T = t[int]\nfunc (T) M() {}", "exported M"},
		{"a method of an unexported type", "a.go", "package a\ntype t[K any] struct{}\nfunc (*t[K]) M() {}", ""},
		{"a bare type in a documented group", "a.go", "package a\n\n// Types.\ntype (\n\tT int\n)", "exported T"},
		{"constants of a documented group", "a.go", "package a\n\n// Numbers.\nconst (\n\tOne = 1\n\tTwo = 2\n)", ""},
		{"a bare constant", "a.go", "package a\nconst One = 1", "exported One"},
		{"bare names in a test", "a_test.go", "package a\nfunc TestF() {}", ""},
		{"a foreign noun", "a.go", "package a\nvar myThumbnail int", `"thumb" is not a word`},
		{"a broken file", "a.go", "package", "expected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := inspect(tt.path, []byte(tt.src))
			if tt.want == "" {
				if len(got) != 0 {
					t.Errorf("inspect = %q, want nothing", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("inspect = %q, want one sentence with %q", got, tt.want)
			}
		})
	}
}
