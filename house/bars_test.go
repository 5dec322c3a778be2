package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The bars of code other than tests. What is past one stands in known_test.go, with a reason.
const (
	maxParameters   = 5
	maxFields       = 12
	maxComplexity   = 12 // ways through a function: 1, and 1 for each if, for, case, && and ||, as gocyclo counts
	maxPackageFiles = 16
	maxPackageLines = 2500 // C beside counted
	maxColumns      = 120  // a tab is 4
)

// tree is what the bars read of the repository.
type tree struct {
	files []source
	wide  int // lines of Go and C past maxColumns, tests left out
	tests int // such lines of tests
}

// source is one file of Go or C that is no test.
type source struct {
	dir, name string
	lines     int
	parsed    *ast.File // nil: C
}

// readTree reads the Go and C files below dir.
func readTree(t *testing.T, dir string) (all tree) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(path); {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || skippedDir(d.Name())):
			return fs.SkipDir
		case d.IsDir() || ext != ".go" && ext != ".c" && ext != ".h":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return all.add(path, string(text))
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// skippedDir reports whether a folder holds no code of the house.
func skippedDir(name string) bool {
	return slices.Contains([]string{"testdata", "build", "data", "node_modules"}, name)
}

// add takes one file.
func (all *tree) add(path, text string) (err error) {
	wide := 0
	for line := range strings.Lines(text) {
		if columns(line) > maxColumns {
			wide++
		}
	}
	if strings.HasSuffix(path, "_test.go") {
		all.tests += wide
		return nil
	}
	all.wide += wide
	s := source{dir: filepath.Dir(path), name: filepath.Base(path), lines: strings.Count(text, "\n")}
	if filepath.Ext(path) == ".go" {
		s.parsed, err = parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	}
	all.files = append(all.files, s)
	return err
}

// columns is the width of a line.
func columns(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    "))
}

// excesses are the things past a bar: for each bar their names and sizes.
type excesses map[string]map[string]int

// past notes a thing if it is past its bar.
func (e excesses) past(bar, name string, n, most int) {
	if n > most {
		if e[bar] == nil {
			e[bar] = map[string]int{}
		}
		e[bar][name] = max(n, e[bar][name])
	}
}

// measure holds a tree against the bars.
func measure(all tree) excesses {
	e, files, lines := excesses{}, map[string]int{}, map[string]int{}
	interfaces := interfacesOf(all)
	for _, s := range all.files {
		files[s.dir]++
		lines[s.dir] += s.lines
		if s.parsed == nil {
			continue
		}
		for _, decl := range s.parsed.Decls {
			e.measureDecl(s, decl)
		}
	}
	for dir, n := range files {
		e.past("files", dir, n, maxPackageFiles)
		e.past("lines", dir, lines[dir], maxPackageLines)
	}
	for name := range interfaces {
		e.past("methods", name, interfaces.methods(name, nil), maxInterfaceMethods)
	}
	return e
}

// measureDecl measures a declaration: structs wherever they stand, and functions.
func (e excesses) measureDecl(s source, decl ast.Decl) {
	names := map[ast.Expr]string{}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			names[n.Type] = s.dir + "." + n.Name.Name
		case *ast.StructType:
			name := names[n]
			if name == "" {
				name = s.dir + "/" + s.name
			}
			e.past("fields", name, count(n.Fields), maxFields)
		}
		return true
	})
	if fn, ok := decl.(*ast.FuncDecl); ok {
		name := s.dir + "." + fn.Name.Name
		if fn.Recv != nil {
			name = s.dir + "." + receiver(fn) + "." + fn.Name.Name
		}
		e.past("parameters", name, count(fn.Type.Params), maxParameters)
		e.past("complexity", name, complexity(fn), maxComplexity)
	}
}

// count is the number of names in a list; what has no name counts too.
func count(l *ast.FieldList) (n int) {
	for _, f := range l.List {
		n += max(1, len(f.Names))
	}
	return n
}

// complexity counts the ways through a function.
func complexity(fn *ast.FuncDecl) int {
	ways := 1
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			ways++
		case *ast.CaseClause:
			if n.List != nil { // nil: default
				ways++
			}
		case *ast.CommClause:
			if n.Comm != nil {
				ways++
			}
		case *ast.BinaryExpr:
			if n.Op == token.LAND || n.Op == token.LOR {
				ways++
			}
		}
		return true
	})
	return ways
}

// interfaces are the declared interfaces by folder and name.
type interfaces map[string]*ast.InterfaceType

// interfacesOf finds them.
func interfacesOf(all tree) interfaces {
	found := interfaces{}
	for _, s := range all.files {
		if s.parsed == nil {
			continue
		}
		ast.Inspect(s.parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if it, ok := spec.Type.(*ast.InterfaceType); ok {
					found[s.dir+"."+spec.Name.Name] = it
				}
			}
			return true
		})
	}
	return found
}

// methods counts what one who is handed the interface can call: the methods of embedded interfaces too.
func (i interfaces) methods(name string, seen []string) (n int) {
	if slices.Contains(seen, name) {
		return 0
	}
	dir := name[:strings.LastIndex(name, ".")]
	for _, m := range i[name].Methods.List {
		embedded := ""
		switch t := m.Type.(type) {
		case *ast.Ident:
			embedded = dir + "." + t.Name
		case *ast.SelectorExpr:
			embedded = i.find(t)
		}
		if i[embedded] == nil {
			n++
			continue
		}
		n += i.methods(embedded, append(seen, name))
	}
	return n
}

// find gives the name under which an interface of another package stands here.
func (i interfaces) find(t *ast.SelectorExpr) string {
	pkg, _ := t.X.(*ast.Ident)
	for name := range i {
		if pkg != nil && (name == pkg.Name+"."+t.Sel.Name || strings.HasSuffix(name, "/"+pkg.Name+"."+t.Sel.Name)) {
			return name
		}
	}
	return ""
}

// exception is something past a bar that is known: how large it may be, and why it is so.
type exception struct {
	most int
	why  string
}

// disagreements hold what is past the bars against what is known to be.
func disagreements(found excesses, known map[string]map[string]exception) (out []string) {
	for bar, names := range found {
		for name, n := range names {
			switch x, ok := known[bar][name]; {
			case !ok:
				out = append(out, fmt.Sprintf("%s: %d %s, which is past the bar: split it", name, n, bar))
			case n > x.most:
				out = append(out, fmt.Sprintf("%s: %d %s, and known_test.go allows %d: it may only shrink", name, n, bar, x.most))
			}
		}
	}
	for bar, names := range known {
		for name, x := range names {
			if _, ok := found[bar][name]; !ok {
				out = append(out, fmt.Sprintf("%s: its %s are within the bar: take it from known_test.go", name, bar))
			}
			if x.why == "" {
				out = append(out, fmt.Sprintf("%s: known_test.go does not say why its %s are past the bar", name, bar))
			}
		}
	}
	slices.Sort(out)
	return out
}

// Parameters, fields, complexity, interfaces and packages stay below their bars, but for those that are known.
func TestBarsAreKept(t *testing.T) {
	all := readTree(t, ".")
	if len(all.files) < 200 {
		t.Fatalf("%d files", len(all.files))
	}
	for _, d := range disagreements(measure(all), known) {
		t.Error(d)
	}
	for _, x := range []struct {
		of        string
		got, most int
	}{{"code", all.wide, wideLines}, {"tests", all.tests, wideTestLines}} {
		switch {
		case x.got > x.most:
			t.Errorf("%d lines of %s have more than %d columns, %d are known: wrap those that are new", x.got, x.of, maxColumns, x.most)
		case x.got <= x.most-wideSlack:
			t.Errorf("%d lines of %s have more than %d columns: lower the number in known_test.go to that", x.got, x.of, maxColumns)
		}
	}
}

// The top folder has the agreed packages, and main.go as its only Go file.
func TestRootShowsTheProduct(t *testing.T) {
	for _, name := range []string{"server", "transform", "cache", "prewarm", "e2e", "config.yaml", "main.go", "Dockerfile", "go.mod"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	found, err := filepath.Glob("*.go")
	if err != nil || !slices.Equal(found, []string{"main.go"}) {
		t.Errorf("the root has %q (%v): commands go to cli, what builds parts to app, tests of the repository to house", found, err)
	}
	if lines := strings.Count(document(t, "main.go"), "\n"); lines > 20 {
		t.Errorf("main.go has %d lines: it calls cli", lines)
	}
}

// Each bar is broken here on purpose, and each kind of disagreement found.
func TestMeasureFindsBrokenBars(t *testing.T) {
	var all tree
	for path, text := range map[string]string{
		"a/a.go": "package a\nfunc (t *T) f(a, b, c int, d, e, f string) {}\ntype T struct { a, b, c, d, e, f, g, h, i, j, k, l int; Z }\n",
		"a/b.go": "package a\nfunc g() { switch { case a && b || c: case d: default: }\nif e { for range f { for { select { case <-h: default: } } } } }\n",
		"a/c.go": "package a\nfunc h() {" + strings.Repeat("\nif a {}", maxComplexity) + "}\n// " + strings.Repeat("ä", maxColumns-2) + "\n",
		"a/d.go": "package a\ntype I interface { M(); J; b.K }\ntype J interface { N(); O() }\n",
		"b/b.go": "package b\ntype K interface { P(); Q(); R() }\nvar v struct {a, b, c, d, e, f, g, h, i, j, k, l, m int}\n",
		"c/c.go": "package c\n", "c/c.h": strings.Repeat("\n", maxPackageLines),
		"c/c_test.go": "package c\n// " + strings.Repeat("x", maxColumns) + "\n",
	} {
		if err := all.add(path, text); err != nil {
			t.Fatal(err)
		}
	}
	for n := range maxPackageFiles + 1 {
		if err := all.add(fmt.Sprintf("d/%d.go", n), "package d\n"); err != nil {
			t.Fatal(err)
		}
	}
	found := measure(all)
	want := excesses{
		"parameters": {"a.T.f": 6}, "fields": {"a.T": 13, "b/b.go": 13}, "complexity": {"a.h": 13}, "methods": {"a.I": 6},
		"lines": {"c": maxPackageLines + 1}, "files": {"d": 17},
	}
	if !maps.EqualFunc(found, want, maps.Equal) {
		t.Errorf("measure = %v, want %v", found, want)
	}
	if all.wide != 1 || all.tests != 1 {
		t.Errorf("%d and %d wide lines, want 1 and 1", all.wide, all.tests)
	}
	got := disagreements(excesses{"fields": {"new": 13, "grown": 15, "same": 14}}, map[string]map[string]exception{
		"fields": {"grown": {14, "x"}, "same": {14, "x"}, "gone": {14, "x"}}, "files": {"mute": {20, ""}},
	})
	if len(got) != 5 {
		t.Errorf("disagreements = %q", got)
	}
}
