package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// boundKeys are a key without bounds, and one that is bound to the host of photo.
func boundKeys(t testing.TB) access.Rules {
	return testRules(t, nil, signing.Key{Key: testKey, Salt: "5a17"}, signing.Key{ID: "shop", Key: otherKey, Sources: []string{"photos.example"}})
}

// as is a path that a key signed.
func as(t testing.TB, r access.Rules, kid, options, source string) string {
	t.Helper()
	signed, err := r.Keys.Sign(kid, variant.Path(options, source, variant.Open))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// A viewer's door refuses what came through a host beyond the key: also the one whose answer to the same URL was ready
// a moment ago, and to any condition or range. Another key's viewers have it meanwhile.
func TestImagesFetchedThroughForbiddenHostsAreRefused(t *testing.T) {
	s := newSocket(t, func(_ *Config, r *access.Rules) { *r = boundKeys(t) })
	free, bound := as(t, s.access.Current().Rules, "", "w:480", photo), as(t, s.access.Current().Rules, "shop", "w:480", photo)
	s.images.onPeek = s.get
	ask := func(want, url, method string, headers ...string) {
		t.Helper()
		res, _ := s.ask(method, url, headers...)
		if got := strconv.Itoa(res.StatusCode) + res.Header.Get("X-Error"); got != want {
			t.Errorf("%s %v: %s, want %s", method, headers, got, want)
		}
		if res.StatusCode == 403 && (res.Header.Get("Cache-Control") != "max-age=60" || res.Header.Get("ETag") != "") {
			t.Errorf("%s %v: refused with %v", method, headers, res.Header)
		}
	}
	for _, url := range []string{free, bound} {
		for range 3 {
			ask("200", url, "GET")
		}
	}
	if n := s.recalls.Load(); n != 4 {
		t.Fatalf("%d answers were ready, want 4", n)
	}
	s.images.come("far.example")
	for _, headers := range [][]string{
		nil, {"If-None-Match: " + testETag}, {"If-None-Match: *"}, {"If-Modified-Since: Mon, 23 Nov 2026 11:00:00 GMT"}, {"Range: bytes=0-9"},
		{"If-Match: *"}, {"Cache-Control: only-if-cached"}, {"Cache-Control: no-cache"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			ask("403source_not_allowed", bound, method, headers...)
			if res, _ := s.ask(method, free, headers...); res.StatusCode >= 400 {
				t.Errorf("%s %v: status %d without bounds", method, headers, res.StatusCode)
			}
		}
	}
	s.images.come("")
	ask("200", bound, "GET")
}

// The fallback picture of a URL is held to its key as well.
func TestFallbacksStayWithinAKey(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) { *r = boundKeys(t) })
	var within []reach.Hosts
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		within = append(within, ref.Within)
		return pipeline.Answer{}, fault.New(fault.SourceNotFound, "test", "it is not there", nil)
	}
	fallback := "fiu:aHR0cDovL3Bob3Rvcy5leGFtcGxlL25vdC1mb3VuZC5qcGc"
	f.do("GET", as(t, f.access.Current().Rules, "shop", fallback, photo))
	if len(within) != 2 || within[0] != "photos.example" || within[1] != within[0] {
		t.Errorf("asked within %q", within)
	}
}

// So is the watermark of a URL.
func TestWatermarksStayWithinAKey(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) { *r = boundKeys(t) })
	for mark, status := range map[string]int{"http://photos.example/m.png": 200, "http://b.example/m.png": 403} {
		w := f.do("GET", as(t, f.access.Current().Rules, "shop", "wm:1/wmu:"+encode(mark), photo))
		if w.Code != status {
			t.Errorf("%s: %d, want %d", mark, w.Code, status)
		}
	}
}

// Explain tells that a viewer of the key is refused, and shows nothing of what the token may not have; what it makes,
// it makes within both.
func TestExplainStaysWithinReach(t *testing.T) {
	const bounded = "a-token-that-has-photos-alone"
	var f *fixture
	var within reach.Hosts
	f = newFixtureWith(t, func(_ *Config, r *access.Rules) {
		*r = boundKeys(t)
		r.API.Tokens = append(r.API.Tokens, access.Token{
			Name: "bounded", Token: bounded, Scopes: []string{access.ScopeExplain}, Sources: []string{"photos.example", "b.example"},
		})
	}, func(d *Deps) {
		d.Warm = func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			within = refs[0].Within
			return []pipeline.Warmed{{Err: f.images.may(within)}}
		}
	})
	f.images.onPeek = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "store"}, nil
	}
	explain := func(token, path string) (int, explanation) {
		t.Helper()
		w := f.private("GET", "/v1/explain"+path, "", "Authorization: Bearer "+token)
		var e explanation
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		return w.Code, e
	}
	free, bound := as(t, f.access.Current().Rules, "", "w:480", photo), as(t, f.access.Current().Rules, "shop", "w:480", photo)
	if status, e := explain(bounded, bound+"?run=1"); status != 200 || e.Refused != "" || e.Stored == nil || e.Run.Outcome != "made" || within != reach.Hosts("b.example,photos.example photos.example") {
		t.Errorf("within reach: %d, refused %q, %+v within %q", status, e.Refused, e.Run, within)
	}
	f.images.come("far.example")
	if status, e := explain(testToken, free); status != 200 || e.Refused != "" || e.Stored == nil {
		t.Errorf("without bounds: %d, refused %q", status, e.Refused)
	}
	if status, e := explain(testToken, bound+"?run=1"); status != 200 || e.Refused != fault.SourceNotAllowed || e.Stored == nil || e.Run.Outcome != "refused" {
		t.Errorf("the key is bounded: %d, refused %q, %+v", status, e.Refused, e.Run)
	}
	for _, path := range []string{free, bound, free + "?run=1"} {
		if status, e := explain(bounded, path); status != 403 || e.Stored != nil {
			t.Errorf("the token is bounded: %d with %+v", status, e.Stored)
		}
	}
}

// A token's calls are held to its sources and to those of the key that it signs with.
func TestCallsStayWithinReach(t *testing.T) {
	a := newAPI(t, func(_ *Config, r *access.Rules) {
		*r = boundKeys(t)
		r.API.Tokens[0].Key, r.API.Tokens[0].Sources = "shop", []string{"*.example"}
	})
	want := reach.Hosts("*.example photos.example")
	told := accepting(a, doneJob())
	a.prewarm.onCheck = func(_ context.Context, asks []prewarm.CheckAsk) ([]prewarm.Checked, error) {
		for _, ask := range asks {
			if ask.Within != want {
				t.Errorf("check of %q%q within %q", ask.Source, ask.Key, ask.Within)
			}
		}
		return make([]prewarm.Checked, len(asks)), nil
	}
	for path, body := range map[string]string{
		"/v1/prewarm": `{"urls":["` + photo + `"]}`, "/v1/check": `{"urls":["` + photo + `"]}`, "/v1/check?": `{"keys":["v1/ab/cd/w.webp"]}`,
	} {
		if w := a.private("POST", strings.TrimSuffix(path, "?"), body, bearer, "Content-Type: application/json"); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	rights := told.call.Rights
	if rights == nil || rights.Hosts() != want || rights.AllowsSource("http://b.example/x") || !rights.AllowsSource(photo) {
		t.Errorf("the call may have %+v", rights)
	}
}
