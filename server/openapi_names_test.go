package server

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// Generators name functions after operationId: each operation has one, and no two share it.
func TestOpenAPINamesOperations(t *testing.T) {
	d := readDescription(t)
	named := map[string]string{}
	paths := d.doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for method, node := range paths[path].(map[string]any) {
			if method == "parameters" {
				continue
			}
			id, _ := node.(map[string]any)["operationId"].(string)
			if !regexp.MustCompile(`^[a-z][A-Za-z]+$`).MatchString(id) {
				t.Errorf("%s %s: operationId %q is no name", method, path, id)
			}
			if other := named[id]; other != "" {
				t.Errorf("%s %s: operationId %q is that of %s", method, path, id, other)
			}
			named[id] = method + " " + path
		}
	}
}
