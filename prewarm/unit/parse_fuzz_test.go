package unit

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/theory/jsonpath"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// For any body, the call is refused or its units keep their invariants.
func FuzzParseCall(f *testing.F) {
	f.Add([]byte(`{"data_units":[{"id":"u","data":{"images":[{"url":"http://h/a.jpg"}]}}],"select":["$..url"]}`), "", "")
	f.Add([]byte(`[{"x":"{\"image\":\"http://h/a b.jpg\"}"},{"x":NaN},null,`), "", "$..[?@.a]")
	f.Add([]byte("{\"image\":\"http://h/a.jpg\"}\r\n\n{\"image\":\"http://\"} x"), lines, "/image")
	f.Add([]byte(`{"urls":["http://h/a",null,1],"variants":["lite"],"ttl":"1h"}`), "application/json", "")
	f.Add([]byte("\xef\xbb\xbf{\"a\":\"\\ud800\",\"a\":\"\xff\"}"), "", "$.a[1:2,-1]")
	f.Fuzz(func(t *testing.T, body []byte, contentType, selector string) {
		query := url.Values{"select": {selector}}
		call, err := parseCall(bytes.NewReader(body), contentType, "", query, Rules{})
		if err != nil {
			if kind := fault.KindOf(err); !slices.Contains([]fault.Kind{fault.BadUnit, fault.BadSelector, fault.BadOption, fault.BodyTooLarge}, kind) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, _ := parseCall(bytes.NewReader(body), contentType, "", query, Rules{})
		if !reflect.DeepEqual(call, again) {
			t.Fatal("the same body was read in two ways")
		}
		for i, u := range call.Units {
			if u.Index != i || u.Err != nil && len(u.Images)+len(u.places) > 0 {
				t.Fatalf("unit %+v", u)
			}
			if u.Err == nil {
				keeps(t, u)
			}
		}
	})
}

// keeps checks the invariants of a readable unit.
func keeps(t *testing.T, u Unit) {
	if !json.Valid(u.Data) || u.ID == "" {
		t.Fatalf("unit %q: %s", u.ID, u.Data)
	}
	values := len(u.Data)
	root, err := grow(u.Data, &values)
	if err != nil {
		t.Fatal(err)
	}
	to := map[string]string{}
	for _, img := range u.Images {
		n := root
		if img.Pointer != "" {
			s, err := parsePointer(img.Pointer)
			if err != nil {
				t.Fatal(err)
			}
			for _, seg := range s.segments {
				if n = n.at(seg.token); n == nil {
					t.Fatalf("nothing is at %s of %s", img.Pointer, u.Data)
				}
			}
		}
		if source, err := variant.ParseSource(img.Source); (err == nil) != (img.Bad == "") || err == nil && source != img.Source {
			t.Fatalf("source %q, bad %q: %q, %v", img.Source, img.Bad, source, err)
		}
		to[img.Source] = "https://i.example/"
	}
	if kept, err := replaced[string](u, nil); err != nil || !bytes.Equal(kept, u.Data) {
		t.Fatalf("%s became %s, %v", u.Data, kept, err)
	}
	if changed, err := replaced(u, to); err != nil || !json.Valid(changed) {
		t.Fatalf("%s became %s, %v", u.Data, changed, err)
	}
}

// Our evaluation of queries finds the same nodes as that of the library.
func FuzzSelect(f *testing.F) {
	const doc = `{"a":[{"b":1,"c":"x"},{"b":[1,2,[3]],"c":null},0],"b":{"a":{"b":"y","~":{}}},"":[[]]}`
	for _, q := range []string{
		"$", "$.a[*].b", "$..b", "$..*", "$..[0]", "$.a[-1,0]", "$.a[::2]", "$.a[5:0:-1]", "$..a..b", "$.a[?@.b]", "$..[?@.b == 1]", "$[?count(@.*) > 1]",
		"$['a','b']['a','~']", "$.a[?@.c == 'x' || !@.c].b", "$..[?length(@) > 1]", "$..[?match(@.c, 'x') || !search(@.c, \"y\")]", "$[?!search $.A,\"\")]", "$[''][0]", "$.a[1:9223372036854775807:9007199254740991]",
	} {
		f.Add(doc, q)
	}
	f.Fuzz(func(t *testing.T, doc, query string) {
		s, err := ParseSelector(query)
		if err != nil || !strings.HasPrefix(query, "$") {
			return
		}
		if strings.Count(query, "..") > 2 || len(s.segments) > 6 { // the library needs time exponential in the query
			return
		}
		var v any
		// grow requires that check accepts the text.
		if len(doc) > 1000 || check([]byte(doc), 0, 0) != "" || json.Unmarshal([]byte(doc), &v) != nil {
			return
		}
		values, steps := 1000, maxSteps
		root, err := grow([]byte(doc), &values)
		if err != nil {
			t.Fatal(err)
		}
		x := selection{src: []byte(doc), root: root, steps: &steps, ctx: t.Context()}
		if err := x.run([]Selector{s}); err != nil {
			t.Fatal(err)
		}
		if s.regexps {
			return // the library panics if the query in a match() or search() finds nothing
		}
		want := map[string]bool{}
		for _, n := range jsonpath.MustParse(query).SelectLocated(v) {
			want[n.Path.Pointer()] = true
		}
		got := map[string]bool{}
		chosen(root, "", got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s in %s: got %v, want %v", query, doc, got, want)
		}
	})
}

// chosen lists the pointers of the selected nodes.
func chosen(n *node, pointer string, found map[string]bool) {
	if n.chosen {
		found[pointer] = true
	}
	c := collector{pointer: []byte(pointer)}
	_ = c.each(n, func(kid *node) *fail {
		chosen(kid, string(c.pointer), found)
		return nil
	})
}
