package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// functionsOf are the functions that a folder declares outside its tests: F, or T.F of a method.
func functionsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				all[fn.Name.Name] = true
			} else if ok {
				all[receiver(fn)+"."+fn.Name.Name] = true
			}
		}
	}
	return all
}

// Every function that the document of the architecture names exists. They are written as `package.Func()` and
// `package.Type.Method()`.
func TestArchitectureNamesFunctionsThatExist(t *testing.T) {
	named := regexp.MustCompile("`([a-z0-9/]+)\\.([A-Za-z.]+)\\(\\)`").FindAllStringSubmatch(document(t, "docs/architecture.md"), -1)
	if len(named) < 40 {
		t.Errorf("it names %d functions only", len(named))
	}
	byDir := map[string]map[string]bool{}
	for _, m := range named {
		dir, name := m[1], m[2]
		if byDir[dir] == nil {
			byDir[dir] = functionsOf(t, dir)
		}
		if !byDir[dir][name] {
			t.Errorf("it names %s of %s, which does not exist", name, dir)
		}
	}
}

// Every package has a row, with its law, in the last table of the document.
func TestArchitectureHasEveryPackage(t *testing.T) {
	_, laws, found := strings.Cut(document(t, "docs/architecture.md"), "## Packages and their laws")
	if !found {
		t.Fatal("there is no such table")
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\| [A-Z][^|]+\\. \\|").FindAllStringSubmatch(laws, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			rows[strings.Trim(name, "`")] = true
		}
	}
	dirs := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || skippedDir(d.Name())):
			return fs.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".go":
			dirs[filepath.Dir(path)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(dirs, ".")
	for dir := range dirs {
		if !rows[dir] {
			t.Errorf("%s has no row with its law", dir)
		}
	}
	for name := range rows {
		if !dirs[name] && name != "main.go" {
			t.Errorf("%s has a row, and is no package", name)
		}
	}
}
