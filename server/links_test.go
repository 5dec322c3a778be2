package server

import (
	"context"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// fakeLinks keeps links in memory.
type fakeLinks struct {
	mu   sync.Mutex
	kept map[string]string
	fail error
}

func (f *fakeLinks) Keep(_ context.Context, links map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	maps.Copy(f.kept, links)
	return nil
}

func (f *fakeLinks) Live(_ context.Context, source string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := variant.OpaqueID(source)
	switch {
	case !ok:
		return source, nil
	case f.fail != nil:
		return "", f.fail
	}
	if f.kept[id] == "" {
		return "", fault.New(fault.SourceForbidden, "test", "no link", nil)
	}
	return f.kept[id], nil
}

// withLinks are rules under which links expire by their parameter sig, with a key that is bound to a host.
func withLinks(t *testing.T, links access.Links) func(*Config, *access.Rules) {
	return func(_ *Config, r *access.Rules) {
		shop := signing.Key{ID: "shop", Key: otherKey, Sources: []string{"photos.example"}}
		*r = testRules(t, nil, signing.Key{Key: testKey, Salt: "5a17"}, shop)
		parser, err := variant.NewParser(map[string]string{"lite": "w:480"}, false, "sig")
		if err != nil {
			t.Fatal(err)
		}
		r.Parser, r.Links = parser, links
	}
}

// Each link to a picture is signed as one URL, which holds no link; the last one is kept. The answer tells it without
// its query.
func TestSignConcealsLinks(t *testing.T) {
	kept := &fakeLinks{kept: map[string]string{}}
	f := newFixture(t, withLinks(t, kept))
	sign := func(body string) *httptest.ResponseRecorder {
		return f.private("POST", "/v1/sign", body, "Authorization: Bearer "+testToken)
	}
	var first string
	for _, link := range []string{"https://photos.example/a.jpg?sig=1", "https://photos.example/a.jpg?sig=2"} {
		w := sign(`{"urls":["` + link + `","https://photos.example/b.jpg?v=1"],"preset":"lite"}`)
		var a struct {
			URLs []struct{ Source, URL string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || len(a.URLs) != 2 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if first == "" {
			first = a.URLs[0].URL
		}
		u := a.URLs[0].URL
		id := u[strings.LastIndexByte(u, '/')+1:]
		shown := a.URLs[0].Source == "https://photos.example/a.jpg"
		if u != first || kept.kept[id] != link || len(kept.kept) != 1 || !shown {
			t.Errorf("%+v, kept %v", a.URLs[0], kept.kept)
		}
		if a.URLs[1].Source != "https://photos.example/b.jpg?v=1" || strings.Contains(a.URLs[1].URL, "/ref/") {
			t.Errorf("a source that lasts: %+v", a.URLs[1])
		}
	}
	kept.fail = fault.New(fault.Overloaded, "test", "down", nil)
	w := sign(`{"source":"https://photos.example/a.jpg?sig=3","preset":"lite"}`)
	if w.Code != 503 || strings.Contains(w.Body.String(), "/ref/") {
		t.Errorf("links cannot be kept: %d %s", w.Code, w.Body)
	}
}

// A key that is bound to hosts has ids whose links lead there, and no others: anyone who knows an id may not have
// signed it for himself.
func TestIDsStayWithinAKey(t *testing.T) {
	ids := map[string]string{
		strings.Repeat("a", 32): "https://photos.example/a.jpg?sig=1",
		strings.Repeat("b", 32): "https://other.example/b.jpg?sig=1",
	}
	kept := &fakeLinks{kept: ids}
	f := newFixture(t, withLinks(t, kept))
	rules := f.access.Current().Rules
	for _, c := range []struct {
		kid, id string
		want    int
	}{{"", "a", 200}, {"", "b", 200}, {"shop", "a", 200}, {"shop", "b", 403}, {"shop", "c", 502}} {
		url := as(t, rules, c.kid, "w:480", "ref:"+strings.Repeat(c.id, 32))
		if w := f.do("GET", url); w.Code != c.want {
			t.Errorf("key %q, id %s: %d %s, want %d", c.kid, c.id, w.Code, w.Body, c.want)
		}
	}
	kept.fail = fault.New(fault.Overloaded, "test", "down", nil)
	if w := f.do("GET", as(t, rules, "shop", "w:5", "ref:"+strings.Repeat("a", 32))); w.Code != 503 {
		t.Errorf("links cannot be read: %d", w.Code)
	}
	if w := f.do("GET", as(t, rules, "", "w:5", "ref:"+strings.Repeat("a", 32))); w.Code != 200 {
		t.Errorf("a key without bounds needs no link: %d", w.Code)
	}
}

// A token that is bound to hosts uses the ids whose links lead there by every route, and no others.
func TestIDsStayWithinAToken(t *testing.T) {
	kept := &fakeLinks{kept: map[string]string{
		strings.Repeat("a", 32): "https://photos.example/a.jpg?sig=1",
		strings.Repeat("b", 32): "https://other.example/b.jpg?sig=1",
	}}
	a := newAPI(t, func(cfg *Config, r *access.Rules) {
		withLinks(t, kept)(cfg, r)
		r.API.Tokens[0].Key, r.API.Tokens[0].Sources = "shop", []string{"photos.example"}
	})
	v := a.loginWith(testToken)
	for id, want := range map[string]int{"a": 200, "b": 403, "c": 502} {
		source := "ref:" + strings.Repeat(id, 32)
		path := as(t, a.access.Current().Rules, "shop", "w:480", source)
		shown := want
		if id == "a" {
			shown = 504 // it is not stored
		}
		for _, x := range []struct {
			method, path, body, header string
			want                       int
		}{
			{"POST", "/v1/sign", `{"source":"` + source + `","options":"w:480"}`, bearer, want},
			{"POST", "/v1/purge", `{"source":"` + source + `"}`, bearer, want},
			{"GET", "/v1/explain" + path, "", bearer, want},
			{"GET", "/console/picture" + path, "", v.cookie, shown},
		} {
			w := a.private(x.method, x.path, x.body, x.header, "Content-Type: application/json")
			refused := strings.Contains(w.Body.String(), `"refused"`)
			if w.Code != x.want || refused {
				t.Errorf("%s %s of %s: status %d, want %d: %s", x.method, x.path, id, w.Code, x.want, w.Body)
			}
		}
	}
}
