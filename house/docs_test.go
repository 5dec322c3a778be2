package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A document that names a test which is gone promises what nobody checks.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	exists := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			exists[m[1]] = true
		}
		return err
	})
	if err != nil || len(exists) == 0 {
		t.Fatalf("%d tests, %v", len(exists), err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	for _, doc := range []string{"docs/security.md", "docs/reliability.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		names := named.FindAllString(string(text), -1)
		if len(names) < 20 {
			t.Errorf("%s names %d tests only", doc, len(names))
		}
		for _, name := range names {
			if !exists[name] {
				t.Errorf("%s names %s, which does not exist", doc, name)
			}
		}
	}
}

// The table of faults has each row once, in order. Rows from 39 on are numbered as their tests are, and may leave
// numbers out.
func TestReliabilityHasEveryRow(t *testing.T) {
	text, err := os.ReadFile("docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(text), -1)
	var got []string
	for _, r := range rows {
		got = append(got, r[1])
	}
	want := "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38"
	if all := strings.Join(got, " "); all != want && !strings.HasPrefix(all, want+" ") {
		t.Errorf("rows %v", got)
	}
	for i := 39; i < len(got); i++ {
		if before, _ := strconv.Atoi(got[i-1]); got[i] <= got[i-1] || before < 39 {
			t.Errorf("row %s comes after row %s", got[i], got[i-1])
		}
	}
}

// said are the log lines from info on that are written out in the code: text and attributes.
func said(t *testing.T) map[string][]string {
	t.Helper()
	lines := map[string][]string{}
	text := func(e ast.Expr) (string, bool) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(lit.Value)
		return s, err == nil
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (path == "e2e" || path == "bench") {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			level, ok := call.Fun.(*ast.SelectorExpr)
			line, written := text(call.Args[0])
			if !ok || !written || !slices.Contains([]string{"Info", "Warn", "Error"}, level.Sel.Name) {
				return true
			}
			lines[line] = nil
			for i := 1; i < len(call.Args); i += 2 {
				if name, ok := text(call.Args[i]); ok {
					lines[line] = append(lines[line], name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || len(lines) < 25 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	return lines
}

// Operators find every log line in the document, in a row that names its attributes.
func TestLogLinesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	for line, attributes := range said(t) {
		row := regexp.MustCompile(`(?m)^\|.*` + regexp.QuoteMeta("`"+line+"`") + `.*$`).FindString(string(doc))
		if row == "" {
			t.Errorf("docs/operate.md has no row for the log line %q", line)
			continue
		}
		for _, name := range attributes {
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("docs/operate.md does not name %q of the log line %q", name, line)
			}
		}
	}
}

// The table of dependencies has each module that a go.mod asks for directly, once, and says what it is for.
func TestDocumentsNameEveryDependency(t *testing.T) {
	var mod []byte
	for _, name := range []string{"go.mod", "e2e/go.mod", "bench/go.mod"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		mod = append(mod, text...)
	}
	text, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\t?(\S+\.\S+/\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		if m[1] != "github.com/goldcrest/goldcrest" {
			want = append(want, m[1])
		}
	}
	_, table, _ := strings.Cut(string(text), "## Dependencies")
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+\.\S+/\S+) \| .{5,} \|$`).FindAllStringSubmatch(table, -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	want = slices.Compact(want)
	slices.Sort(got)
	if len(want) < 10 || !slices.Equal(got, want) {
		t.Errorf("docs/security.md has %q\ngo.mod has %q", got, want)
	}
}
