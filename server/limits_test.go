package server

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// sends makes n calls with a token and tells how many were not refused for its limit.
func (f *fixture) sends(n int, token string) (taken int) {
	f.t.Helper()
	for range n {
		w := f.private("POST", "/v1/sign", `{"source":"`+photo+`","preset":"lite"}`, token)
		switch {
		case w.Code != 429:
			taken++
		case code(f.t, w) != fault.RateLimited || w.Header().Get("Retry-After") != "1" || w.Header().Get("Cache-Control") != "no-store":
			f.t.Errorf("refused with %v: %s", w.Header(), w.Body)
		}
	}
	return taken
}

// metric wants a line of /metrics.
func (f *fixture) metric(t *testing.T, line string) {
	t.Helper()
	if text := f.private("GET", "/metrics", "").Body.String(); !strings.Contains(text, line+"\n") {
		t.Errorf("no metric %s", line)
	}
}

func TestTokensAreLimitedEachByItself(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) {
		r.API.Rate, r.API.Burst = 10, 20
		r.API.Tokens[0].Rate, r.API.Tokens[0].Burst = 2, 3
	})
	if n := f.sends(50, bearer); n != 3 {
		t.Errorf("%d of 50 calls at once, want 3", n)
	}
	if n := f.sends(50, checkBearer); n != 20 {
		t.Errorf("%d of 50 calls of the other token, want all 20 of its own", n)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		for range 50 {
			if w := f.private("GET", path, ""); w.Code != 200 {
				t.Fatalf("%s: status %d", path, w.Code)
			}
		}
	}
	f.metric(t, `goldcrest_limited_total{name="backend",what="token"} 47`)
	f.metric(t, `goldcrest_limited_total{name="narrow",what="token"} 30`)
	f.later.Add(int64(time.Second))
	if n := f.sends(50, bearer); n != 2 {
		t.Errorf("%d calls a second later, want 2", n)
	}
	f.later.Add(-int64(time.Hour)) // The clock is set back.
	if n := f.sends(50, bearer); n != 0 {
		t.Errorf("%d calls as the clock was set back, want 0", n)
	}
}

// unread fails the test when the body of a call is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

func TestLimitedCallsCostNoReading(t *testing.T) {
	a := newAPI(t, func(_ *Config, r *access.Rules) { r.API.Rate, r.API.Burst = 1, 1 })
	a.sends(1, bearer)
	r := httptest.NewRequest("POST", "http://localhost:8081/v1/prewarm", unread{t})
	r.Header.Set("Authorization", "Bearer "+testToken)
	w := httptest.NewRecorder()
	if a.Private().ServeHTTP(w, r); w.Code != 429 {
		t.Errorf("status %d, want 429", w.Code)
	}
}

func TestReloadKeepsWhatBucketsHold(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) { r.API.Rate, r.API.Burst = 2, 4 })
	reload := func(rate, burst int) {
		t.Helper()
		r := testRules(t, f.deps.Now)
		r.API.Rate, r.API.Burst = rate, burst
		if err := f.Reload(r); err != nil {
			t.Fatal(err)
		}
	}
	f.sends(4, bearer)
	for range 10 {
		reload(2, 4)
	}
	if n := f.sends(5, bearer); n != 0 {
		t.Errorf("%d calls after reloads, want 0: the bucket was empty", n)
	}
	reload(5, 5)
	f.later.Add(int64(time.Second))
	if n := f.sends(20, bearer); n != 5 {
		t.Errorf("%d calls in the second after the limit was raised, want 5", n)
	}
	reload(0, 0)
	if n := f.sends(20, bearer); n != 20 {
		t.Errorf("%d of 20 calls without a limit", n)
	}
}

func TestKeysAreLimitedInWhatIsMadeForThem(t *testing.T) {
	f := newFixture(t, nil)
	keys := signing.Config{Rate: 2, Burst: 3, Keys: []signing.Key{
		{ID: "shop", Key: testKey}, {ID: "shop", Key: otherKey, Rate: 4, Burst: 5}, {ID: "blog", Key: otherKey},
	}}
	ring, err := signing.New(keys, f.deps.Now)
	if err != nil {
		t.Fatal(err)
	}
	r := testRules(t, f.deps.Now)
	r.Keys, f.keys = ring, ring
	if err := f.Reload(r); err != nil {
		t.Fatal(err)
	}
	signed := func(kid string) string {
		path, err := ring.Sign(kid, variant.Path("", photo, variant.Open))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	made := map[string]int{}
	f.images.onMake = func(key string) { made[key]++ }
	ask := func(n int, kid string) (refused int) {
		t.Helper()
		for range n {
			w := f.do("GET", signed(kid))
			if w.Code == 429 {
				refused++
				if code(t, w) != fault.RateLimited || w.Header().Get("Retry-After") != "1" {
					t.Errorf("refused with %v: %s", w.Header(), w.Body)
				}
			}
		}
		return refused
	}
	if refused := ask(20, "shop"); refused != 15 || made["shop"] != 5 {
		t.Errorf("shop: %v made, %d refused; want 5 and 15", made, refused)
	}
	if refused := ask(20, "blog"); refused != 17 || made["blog"] != 3 {
		t.Errorf("blog: %v made, %d refused, want 17: the other key's limit is not its own", made, refused)
	}
	f.images.onMake = nil // Everything is stored by now.
	if refused := ask(20, "shop"); refused != 0 {
		t.Errorf("%d of 20 hits were refused", refused)
	}
	f.metric(t, `goldcrest_limited_total{name="shop",what="key"} 15`)
}

// A picture that stands for failures is not a way around the limit.
func TestLimitedMakesNoFallback(t *testing.T) {
	f := newFixture(t, nil)
	ring, err := signing.New(signing.Config{Rate: 1, Burst: 1, Keys: []signing.Key{{Key: testKey}}}, f.deps.Now)
	if err != nil {
		t.Fatal(err)
	}
	r := testRules(t, f.deps.Now)
	r.Keys, f.keys = ring, ring
	if err := f.Reload(r); err != nil {
		t.Fatal(err)
	}
	made := 0
	f.images.onMake = func(string) { made++ }
	url := f.url("fiu:aHR0cDovL3Bob3Rvcy5leGFtcGxlL25vbmUuanBn", photo)
	f.do("GET", url)
	if w := f.do("GET", url); w.Code != 429 || made != 1 || f.images.peeks != 1 {
		t.Errorf("status %d, %d made, %d looked up; want 429, 1, 1", w.Code, made, f.images.peeks)
	}
	f.images.onPeek = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "store"}, nil
	}
	if w := f.do("GET", url); w.Code != 429 || w.Header().Get("Content-Type") != "image/jpeg" || made != 1 {
		t.Errorf("status %d, %s, %d made; want the stored fallback with status 429",
			w.Code, w.Header().Get("Content-Type"), made)
	}
}
