package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/config.md")

const docsFile = "../docs/config.md"

const docsHead = `# Configuration

Every key, from the comments of the structs that hold it. Written by ` + "`go test ./config -run TestDocs -update`" + `; do not edit.

The order is: the defaults below, then the file (` + "`-config FILE`" + ` or ` + "`GOLDCREST_CONFIG`" + `, YAML or JSON), then the
environment. A list or map replaces the default as a whole. In the environment a text is taken as it stands; lists and maps are YAML text, such as
` + "`GOLDCREST_ORIGIN_PORTS='[80, 443]'`" + `. Sizes are written 32MiB, 64kB or as plain numbers, pixels 50MP, durations 300ms, 25s, 1h30m or 7d.
An unknown key or variable is refused. Keys with "yes" under reload are taken at ` + "`SIGHUP`" + `; all others need a restart.
`

// The reference is made from the code, so that the two cannot differ.
func TestDocsAreUpToDate(t *testing.T) {
	c := Default()
	want := docsHead
	comments := commentsOf{}
	for _, k := range keys(reflect.ValueOf(&c).Elem()) {
		meaning := comments.of(t, k.member)
		if meaning == "" {
			t.Errorf("%s: field %s.%s has no comment", k.path, k.owner, k.field)
		}
		want += row(t, k, meaning)
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/config.md does not say what the code says; run go test ./config -run TestDocs -update")
	}
}

// row is the line of one key. A section at the top begins a table of its own; one further down only shows in its keys.
func row(t *testing.T, k key, meaning string) string {
	t.Helper()
	head := ""
	if !strings.Contains(k.path, ".") && !strings.Contains(k.path, "[]") {
		head = fmt.Sprintf("\n## %s\n\n", k.path)
		if !k.leaf {
			head += meaning + "\n\n"
		}
		head += "| key | environment | default | reload | meaning |\n|---|---|---|---|---|\n"
	}
	if !k.leaf {
		return head
	}
	env := "in `" + key{path: strings.Split(k.path, "[]")[0], leaf: true}.env() + "`"
	if name := k.env(); name != "" {
		env = "`" + name + "`"
	}
	reload := "no"
	if isReloadable(k.path) {
		reload = "yes"
	}
	return head + fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", k.path, env, code(shown(t, k)), reload, plain.Replace(meaning))
}

// plain keeps a comment from being read as Markdown.
var plain = strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`)

// shown is the value of k as it would be printed.
func shown(t *testing.T, k key) string {
	t.Helper()
	n := encode(k.value, k.member)
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func code(s string) string {
	if s == "" {
		return "empty"
	}
	return "`" + s + "`"
}

// commentsOf caches the comments of fields by package directory, then by "Type.Field".
type commentsOf map[string]map[string]string

func (c commentsOf) of(t *testing.T, m member) string {
	t.Helper()
	dir := filepath.Join("..", strings.TrimPrefix(m.owner.PkgPath(), "github.com/goldcrest/goldcrest/"))
	if c[dir] == nil {
		c[dir] = readComments(t, dir)
	}
	// Go begins a comment with the field's name; the reader of the reference knows only the key.
	text := c[dir][m.owner.Name()+"."+m.field]
	if rest, ok := strings.CutPrefix(text, m.field+" "); ok {
		return "`" + m.name + "` " + rest
	}
	return text
}

func readComments(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range s.Fields.List {
				for _, id := range f.Names {
					out[spec.Name.Name+"."+id.Name] = oneLine(f.Doc.Text() + f.Comment.Text())
				}
			}
			return true
		})
	}
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
