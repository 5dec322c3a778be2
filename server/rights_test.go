package server

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
)

// A token that names a key, sources and presets signs with that key, and asks for nothing else by any route.
func TestTokensAreHeldToTheirKeySourcesAndPresets(t *testing.T) {
	keys := []signing.Key{{Key: testKey, Salt: "5a17"}, {ID: "shop", Key: otherKey, Salt: "5a17"}}
	a := newAPI(t, func(_ *Config, r *access.Rules) {
		*r = testRules(t, nil, keys...)
		r.API.Tokens[0].Scopes = []string{access.ScopePrewarm, access.ScopeCheck, access.ScopeSign, access.ScopeExplain, access.ScopePurge}
		r.API.Tokens[0].Key, r.API.Tokens[0].Sources, r.API.Tokens[0].Presets = "shop", []string{"photos.example"}, []string{"lite"}
	})
	told := accepting(a, doneJob())
	const js, elsewhere = "Content-Type: application/json", "http://elsewhere.example/a.jpg"
	for _, x := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/v1/sign", `{"source":"` + photo + `","preset":"lite"}`, 200},
		{"POST", "/v1/sign", `{"source":"` + photo + `","preset":"lite","kid":"shop"}`, 200},
		{"POST", "/v1/sign", `{"source":"` + photo + `","preset":"lite","kid":"other"}`, 403},
		{"POST", "/v1/sign", `{"source":"` + photo + `","options":"w:9"}`, 403},
		{"POST", "/v1/sign", `{"source":"` + photo + `","options":"pr:lite/w:9"}`, 403},
		{"POST", "/v1/sign", `{"source":"` + elsewhere + `","preset":"lite"}`, 403},
		{"POST", "/v1/check", `{"urls":["` + photo + `"]}`, 200}, {"POST", "/v1/check", `{"urls":["` + elsewhere + `"]}`, 403},
		{"GET", "/v1/explain" + a.url("pr:lite", photo), "", 200}, {"GET", "/v1/explain" + a.url("pr:lite", elsewhere), "", 403},
		{"GET", "/v1/explain" + a.url("w:9", photo), "", 403}, {"GET", "/v1/explain" + a.url("pr:lite", elsewhere) + "?run=1", "", 403},
		{"POST", "/v1/purge", `{"source":"` + photo + `"}`, 200}, {"POST", "/v1/purge", `{"source":"` + elsewhere + `"}`, 403},
		{"POST", "/v1/purge", `{"prefix":"v1/ab/"}`, 403},
		{"POST", "/v1/prewarm", `{"urls":["` + photo + `"]}`, 200},
	} {
		w := a.private(x.method, x.path, x.body, bearer, js)
		if w.Code != x.want {
			t.Errorf("%s %s %s: status %d, want %d: %s", x.method, x.path, x.body, w.Code, x.want, w.Body)
		}
		if x.path == "/v1/sign" && w.Code == 200 && !strings.Contains(w.Body.String(), "/shop.") {
			t.Errorf("%s: signed with another key: %s", x.body, w.Body)
		}
	}
	if told.call.Key != "shop" || told.call.Rights == nil || told.call.Rights.AllowsSource(elsewhere) || !told.call.Rights.AllowsSource(photo) || told.call.Rights.AllowsPreset("") || !told.call.Rights.AllowsPreset("lite") {
		t.Errorf("the call has key %q and rights %+v", told.call.Key, told.call.Rights)
	}
	rules := a.access.Current().Rules
	for what, change := range map[string]func(*access.Token){
		"absent key": func(t *access.Token) { t.Key = "none" }, "odd source": func(t *access.Token) { t.Sources = []string{"https://a/"} },
		"empty preset": func(t *access.Token) { t.Presets = []string{""} }, "odd reading": func(t *access.Token) { t.Bodies = []string{"document"} },
		"compat with sources": func(t *access.Token) { t.Scopes = []string{access.ScopeCompat} },
	} {
		bad := rules
		bad.API.Tokens = append([]access.Token{}, rules.API.Tokens...)
		change(&bad.API.Tokens[0])
		if a.Reload(bad) == nil {
			t.Errorf("%s: it was taken", what)
		}
	}
}
