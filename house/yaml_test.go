package house

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// accidental lists the keys without a value in flow mappings: "{description: a, b}" has the key "b", where a text was
// meant.
func accidental(n *yaml.Node) (keys []*yaml.Node) {
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if v := n.Content[i+1]; v.Tag == "!!null" && v.Value == "" {
				keys = append(keys, n.Content[i])
			}
		}
	}
	for _, c := range n.Content {
		keys = append(keys, accidental(c)...)
	}
	return keys
}

func documentsOf(r io.Reader) (nodes []*yaml.Node, err error) {
	for d := yaml.NewDecoder(r); ; {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return nodes, nil
		} else if err != nil {
			return nil, err
		}
		nodes = append(nodes, &n)
	}
}

// A comma in an unquoted text of a flow mapping ends it; what follows becomes a key that no tool expects.
func TestYAMLHasNoAccidentalKeys(t *testing.T) {
	nodes, err := documentsOf(strings.NewReader("{description: a page, or a list}"))
	if err != nil || len(accidental(nodes[0])) != 1 {
		t.Fatalf("the check finds nothing: %v", err)
	}
	files := 0
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "data" ||
			d.Name() == "build" ||
			d.Name() == "templates") { // Helm makes YAML of its templates.
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" && filepath.Ext(path) != ".yml" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		files++
		nodes, err := documentsOf(f)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, n := range nodes {
			for _, key := range accidental(n) {
				t.Errorf("%s:%d: %q is a key without a value: quote the text before it", path, key.Line, key.Value)
			}
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, %v", files, err)
	}
}
