package unit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func TestRewrite(t *testing.T) {
	to := map[string]string{"http://h/a.jpg": "https://i/1?x=1&y=<>", "http://h/b.jpg": "https://i/2", "": "https://i/none"}
	tests := []struct {
		name, unit string
		selectors  []string
		want       string
	}{
		{"nothing to do", `{ "a" : 1.50, "t":"\u00fc" }`, nil, `{ "a" : 1.50, "t":"\u00fc" }`},
		{"an image", `{ "x" :  "http:\/\/h/a.jpg" ,"n":1e3}`, nil, `{ "x" :  "https://i/1?x=1&y=<>" ,"n":1e3}`},
		{"every place of it", `{"x":"http://h/a.jpg","y":[" http://h/a.jpg#f","http://h/b.jpg"]}`, nil, `{"x":"https://i/1?x=1&y=<>","y":["https://i/1?x=1&y=<>","https://i/2"]}`},
		{"one without a URL", `{"x":"http://h/c.jpg#f"}`, nil, `{"x":"http://h/c.jpg#f"}`},
		{"a key twice", `{"x":"http://h/a.jpg","x":"http://h/b.jpg"}`, nil, `{"x":"http://h/a.jpg","x":"https://i/2"}`},
		{"no image", `{"x":["plain","http://h/b.jpg",7]}`, []string{"$.x"}, `{"x":["plain","https://i/2",7]}`},
		{"out of order", `{"o":{"src":"http://h/a.jpg","url":"http://h/b.jpg"}}`, []string{"$.o", "$.o.*"}, `{"o":{"src":"https://i/1?x=1&y=<>","url":"https://i/2"}}`},
		{"in a string", `{"x":"{ \"i\" : \"http:\\/\\/h\\/b.jpg\", \"c\":\"http://h/c.jpg\" }"}`, nil, `{"x":"{ \"i\" : \"https://i/2\", \"c\":\"http://h/c.jpg\" }"}`},
		{"nothing in a string", `{"x":"{ \"i\" : \"http:\/\/h/c.jpg\"}"}`, nil, `{"x":"{ \"i\" : \"http:\/\/h/c.jpg\"}"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := oneUnit(t, tt.unit, tt.selectors...)
			got, err := replaced(u, to)
			if err != nil || string(got) != tt.want || string(u.Data) != tt.unit {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
	call, err := parse(t, `{"urls":["http://h/b.jpg","relative"]}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`"https://i/2"`, `"relative"`} {
		if got, err := replaced(call.Units[i], to); err != nil || string(got) != want {
			t.Errorf("a plain URL became %s, %v", got, err)
		}
	}
	if got, err := replaced(Unit{}, to); err != nil || len(got) != 0 {
		t.Errorf("an unread unit became %s, %v", got, err)
	}
}

func TestEnrich(t *testing.T) {
	u := oneUnit(t, `{"images":[ "http://h/a.jpg" ,"http://h/b.jpg"],"s":"[\"http://h/a.jpg\"]"}`)
	got, err := replaced(u, map[string]any{"http://h/a.jpg": struct {
		URL string `json:"url"`
	}{"https://i/?a&b"}})
	const want = `{"images":[ {"url":"https://i/?a&b"} ,"http://h/b.jpg"],"s":"[{\"url\":\"https://i/?a&b\"}]"}`
	if err != nil || string(got) != want || !json.Valid(got) {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if _, err := replaced(u, map[string]any{"http://h/a.jpg": func() {}}); fault.KindOf(err) != fault.Internal {
		t.Errorf("what is no JSON: %v", err)
	}
}

func TestRewriteCorpus(t *testing.T) {
	call, err := parse(t, string(corpus(t, "data-units.jsonl")), lines, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range call.Units {
		to := map[string]string{}
		for i, img := range u.Images {
			to[img.Source] = "https://img.example/" + strconv.Itoa(i) + "." + u.ID
		}
		changed, err := replaced(u, to)
		if err != nil || !json.Valid(changed) {
			t.Fatalf("line %d: %s, %v", u.Line, changed, err)
		}
		for _, img := range u.Images {
			if img.Bad == "" && (!bytes.Contains(changed, []byte(to[img.Source])) || bytes.Contains(changed, []byte(`"`+img.Source+`"`))) {
				t.Errorf("line %d: %s was not replaced in %s", u.Line, img.Source, changed)
			}
		}
	}
}

// replaced returns a unit with its images replaced, by source.
func replaced[V any](u Unit, to map[string]V) (json.RawMessage, error) {
	var out bytes.Buffer
	err := u.Replace(&out, func(image int) any {
		if by, ok := to[u.Images[image].Source]; ok {
			return by
		}
		return nil
	})
	return out.Bytes(), err
}
