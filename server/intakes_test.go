package server

import (
	"encoding/json"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/server/access"
)

func TestIntakes(t *testing.T) {
	a := newAPI(t, nil)
	for _, x := range []struct {
		method, path string
		paused       bool
	}{
		{"GET", "/v1/intakes", false}, {"POST", "/v1/intakes/shop/pause", true}, {"GET", "/v1/intakes", true},
		{"POST", "/v1/intakes/shop/resume", false},
	} {
		var got struct{ Intakes []intake.Stats }
		w := a.private(x.method, x.path, "", bearer)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Intakes) != 1 ||
			got.Intakes[0].Paused != x.paused {
			t.Errorf("%s %s: %d %s, want paused %v", x.method, x.path, w.Code, w.Body, x.paused)
		}
	}
	if w := a.private("POST", "/v1/intakes/other/pause", "", bearer); w.Code != 404 || code(t, w) != fault.NotFound {
		t.Errorf("an intake that is not there: %d %s", w.Code, w.Body)
	}
}

// A door that is not HTTP acts as a token by its name, within that token's limit, and with its rights.
func TestIntakeActsWithTheRightsAndLimitOfItsToken(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) {
		r.API.Tokens = []access.Token{
			{Name: "shop", Token: "a-token-of-the-shop", Scopes: []string{access.ScopePrewarm},
				Bodies: []string{"unit"}, Rate: 1, Burst: 2,
				Presets: []string{"lite"}},
			{Name: "reader", Token: "a-token-that-checks", Scopes: []string{access.ScopeCheck}},
		}
	})
	for range 2 {
		who, err := f.As("shop", access.ScopePrewarm)
		if err != nil || who.Name != "shop" || len(who.Bodies) != 1 || who.May.AllowsPreset("std") ||
			!who.May.AllowsPreset("lite") {
			t.Fatalf("As = %+v, %v", who, err)
		}
	}
	if _, err := f.As("shop", access.ScopePrewarm); fault.KindOf(err) != fault.RateLimited {
		t.Errorf("past the limit: %v", err)
	}
	for _, name := range []string{"reader", "nobody", ""} {
		if _, err := f.As(name, access.ScopePrewarm); !fault.KindOf(err).Retryable() {
			t.Errorf("as %q: %v, want a fault that may pass", name, err)
		}
	}
}
