package client

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// schemas are those of openapi.yaml.
func schemas(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct{ Schemas map[string]any }
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Components.Schemas
}

// properties are those of a schema: behind references, in the first of alternatives that has any, or of what a list
// holds.
func properties(all map[string]any, schema any) map[string]any {
	s, _ := schema.(map[string]any)
	if ref, ok := s["$ref"].(string); ok {
		return properties(all, all[ref[strings.LastIndexByte(ref, '/')+1:]])
	}
	if own, ok := s["properties"].(map[string]any); ok {
		return own
	}
	if items, ok := s["items"]; ok {
		return properties(all, items)
	}
	alternatives, _ := s["anyOf"].([]any)
	for _, a := range alternatives {
		if own := properties(all, a); own != nil {
			return own
		}
	}
	return nil
}

// lacking are the properties that a Go type has no field for, with all that stand below them.
func lacking(all map[string]any, at string, schema any, typ reflect.Type) (out []string) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil // A scalar, or JSON as it is.
	}
	fields := map[string]reflect.Type{}
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f.Type
	}
	for name, property := range properties(all, schema) {
		if field, ok := fields[name]; ok {
			out = append(out, lacking(all, at+"."+name, property, field)...)
		} else {
			out = append(out, at+"."+name)
		}
	}
	return out
}

// The Go client has a field for everything that a call may hold and that an answer may tell.
func TestGoKnowsEveryField(t *testing.T) {
	all := schemas(t)
	for name, typ := range map[string]reflect.Type{
		"Envelope": reflect.TypeFor[envelope](), "Wrapped": reflect.TypeFor[Unit](), "KeyList": reflect.TypeFor[envelope](), "Purge": reflect.TypeFor[PurgeCall](),
		"Accepted": reflect.TypeFor[Accepted](), "Job": reflect.TypeFor[Job](), "Verdict": reflect.TypeFor[Verdict](),
		"Checks": reflect.TypeFor[Checks](), "Purged": reflect.TypeFor[Purged](), "OwnerUsage": reflect.TypeFor[OwnerUsage](), "Problem": reflect.TypeFor[Error](),
	} {
		if len(properties(all, all[name])) == 0 {
			t.Errorf("openapi.yaml tells nothing of %s", name)
		}
		for _, field := range lacking(all, name, all[name], typ) {
			if field != "Problem.type" { // The code says the same.
				t.Errorf("the Go client lacks %s", field)
			}
		}
	}
}

// So have the others for everything that a call may hold. Both call "return" by another name, which is free in their
// languages.
func TestOtherClientsKnowEveryField(t *testing.T) {
	all := schemas(t)
	python, err := os.ReadFile("../clients/python/goldcrest/api.py")
	if err != nil {
		t.Fatal(err)
	}
	types, err := os.ReadFile("../clients/js/goldcrest.d.ts")
	if err != nil {
		t.Fatal(err)
	}
	for schema, js := range map[string]string{"Envelope": "PrewarmCall", "Wrapped": "UnitFields"} {
		own := regexp.MustCompile(`(?s)interface ` + js + ` \{.*?\n\}`).FindString(string(types))
		for name := range properties(all, all[schema]) {
			if name == "wrapped" {
				continue // They send it with every call: it is nobody's to choose.
			}
			if !strings.Contains(string(python), `"`+name+`": `) {
				t.Errorf("the Python client lacks %s.%s", schema, name)
			}
			inJS := map[string]string{"return": "returns", "data_units": "units"}[name]
			if inJS == "" {
				inJS = name
			}
			if name != "data" && !strings.Contains(own, "  "+inJS+"?: ") {
				t.Errorf("the JavaScript client's %s lacks %s", js, name)
			}
		}
	}
	for _, answer := range []string{"AcceptedUnit", "Verdict"} {
		if own := regexp.MustCompile(`(?s)interface ` + answer + ` \{.*?\n\}`).FindString(string(types)); !strings.Contains(own, "reason") {
			t.Errorf("the JavaScript client's %s has no reason", answer)
		}
	}
}
