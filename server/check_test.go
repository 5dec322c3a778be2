package server

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

func TestCheck(t *testing.T) {
	a := newAPI(t, nil)
	var asks []prewarm.CheckAsk
	a.prewarm.onCheck = func(_ context.Context, in []prewarm.CheckAsk) ([]prewarm.Checked, error) {
		asks = in
		out := make([]prewarm.Checked, len(in))
		for i, ask := range in {
			out[i] = prewarm.Checked{Ask: ask, State: ledger.Present, Variants: []ledger.Verdict{{Name: "lite", Format: "webp", State: ledger.Present, Bytes: 9}}}
			if strings.HasSuffix(ask.Source, "gone.jpg") {
				out[i] = prewarm.Checked{Ask: ask, State: ledger.Broken, Reason: fault.SourceNotFound}
			}
		}
		return out, nil
	}
	for _, tc := range []struct {
		name, body, contentType string
		asks                    int
		want                    []string
	}{
		{"urls", `{"urls":["https://c.example/a.jpg","https://c.example/gone.jpg"],"variants":["lite"]}`, "application/json", 2,
			[]string{`"source":"https://c.example/a.jpg","key":null,"state":"present","reason":null,"variants":[{"name":"lite","format":"webp"`, `"reason":"source_not_found"`}},
		{"units", `{"data_units":[{"id":"u1","data":{"photo":"https://c.example/a.jpg"}},7]}`, "application/json", 1,
			[]string{`"id":"u1","pointer":"/photo","source":"https://c.example/a.jpg"`, `"errors":[{"index":1`}},
		{"lines", unitBody + "\n" + unitBody, "application/x-ndjson", 2, []string{`"index":1`}},
		{"keys", `{"keys":["v1/ab/x","v1/cd/y"]}`, "application/json", 2, []string{`"source":null,"key":"v1/cd/y","state":"present"`, `"errors":[]`}},
		{"a selected value that is no URL", `{"data_units":[{"id":"u1","data":{"p":["mailto:a@b","https://c.example/a.jpg"]},"select":["/p"]}]}`, "application/json", 1,
			[]string{`"state":"broken","reason":"bad_source"`, `"state":"present"`}},
	} {
		w := a.private("POST", "/v1/check", tc.body, checkBearer, "Content-Type: "+tc.contentType)
		if w.Code != 200 || len(asks) != tc.asks {
			t.Errorf("%s: status %d, %d asks, want %d: %s", tc.name, w.Code, len(asks), tc.asks, w.Body)
		}
		for _, want := range tc.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: no %s in %s", tc.name, want, w.Body)
			}
		}
	}
	if w := a.private("POST", "/v1/check", "nonsense", checkBearer); w.Code != 400 {
		t.Errorf("nonsense: status %d", w.Code)
	}
}

func TestPurge(t *testing.T) {
	const narrow = "Authorization: Bearer a-token-that-may-only-purge"
	a := newAPI(t, func(_ *Config, r *access.Rules) {
		r.API.Tokens = append(r.API.Tokens, access.Token{
			Name: "purger", Token: "a-token-that-may-only-purge", Scopes: []string{access.ScopePurge},
		})
	})
	ref, err := a.access.Current().Parser.Ref(photo, variant.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	a.prewarm.onSources = func(_ context.Context, _ ledger.Caller, unit, tag string) ([]variant.Ref, error) {
		if unit == "u1" || tag == "spring" {
			return []variant.Ref{ref, ref}, nil
		}
		return nil, nil
	}
	tag := "s-" + ref.SourceHash()[:16]
	for _, tc := range []struct {
		body, token string
		status      int
		purges      []pipeline.Selector
		answer      purgeAnswer
	}{
		{`{"source":"` + photo + `"}`, narrow, 200, []pipeline.Selector{{Refs: []variant.Ref{ref}}}, purgeAnswer{3, 1, []string{tag}, false}},
		{`{"unit":"u1"}`, narrow, 200, []pipeline.Selector{{Refs: []variant.Ref{ref, ref}}}, purgeAnswer{3, 2, []string{tag, tag}, false}},
		{`{"tag":"spring"}`, narrow, 200, []pipeline.Selector{{Refs: []variant.Ref{ref, ref}}}, purgeAnswer{3, 2, []string{tag, tag}, false}},
		{`{"tag":"autumn"}`, narrow, 200, nil, purgeAnswer{0, 0, []string{}, false}},
		{`{"prefix":"v1/ab/"}`, narrow, 200, []pipeline.Selector{{Prefix: "v1/ab/"}}, purgeAnswer{3, 0, []string{}, true}},
		{`{"prefix":"` + ref.SourcePrefix() + `"}`, narrow, 200, []pipeline.Selector{{Prefix: ref.SourcePrefix()}}, purgeAnswer{3, 0, []string{tag}, false}},
		{`{"all":true}`, bearer, 200, []pipeline.Selector{{Prefix: "v1/"}}, purgeAnswer{3, 0, []string{}, true}},
		{`{"all":true}`, narrow, 403, nil, purgeAnswer{}},
		{`{"source":"` + photo + `"}`, checkBearer, 403, nil, purgeAnswer{}},
		{`{}`, narrow, 400, nil, purgeAnswer{}},
		{`{"unit":"u1","tag":"t"}`, narrow, 400, nil, purgeAnswer{}},
		{`{"source":"ftp://x/y"}`, narrow, 400, nil, purgeAnswer{}},
		{`{"prefix":"v1/"}`, narrow, 400, nil, purgeAnswer{}},
		{`{"prefix":"v1/ab"}`, narrow, 400, nil, purgeAnswer{}},
		{`{"prefix":"v1/ab/../"}`, narrow, 400, nil, purgeAnswer{}},
		{`{"prefix":"other/"}`, narrow, 400, nil, purgeAnswer{}},
	} {
		a.purged = nil
		w := a.private("POST", "/v1/purge", tc.body, tc.token)
		if w.Code != tc.status {
			t.Errorf("%s: status %d, want %d: %s", tc.body, w.Code, tc.status, w.Body)
		}
		if len(a.purged) != len(tc.purges) {
			t.Errorf("%s: purged %v, want %v", tc.body, a.purged, tc.purges)
			continue
		}
		for i := range tc.purges {
			if !reflect.DeepEqual(a.purged[i], tc.purges[i]) {
				t.Errorf("%s: purged %v, want %v", tc.body, a.purged, tc.purges)
			}
		}
		if want, _ := json.Marshal(tc.answer); tc.status == 200 && strings.TrimSpace(w.Body.String()) != string(want) {
			t.Errorf("%s: answer %s, want %s", tc.body, w.Body, want)
		}
	}
}

func TestStatsAndConfig(t *testing.T) {
	a := newAPI(t, nil)
	a.prewarm.onStats = func(context.Context) (prewarm.Stats, error) {
		return prewarm.Stats{Jobs: 2, Waiting: map[string]int{"high": 4}}, nil
	}
	w := a.private("GET", "/v1/stats", "", bearer)
	for _, want := range []string{`"version":"v1"`, `"uptime_s":3600`, `"workers":2`, `"hits":7`, `"jobs":2`, `"high":4`, `"ready":true`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	w = a.private("GET", "/v1/config", "", bearer)
	header(t, w, "Content-Type", "application/yaml")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "level: info") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	for _, path := range []string{"/v1/stats", "/v1/config"} {
		if w := a.private("GET", path, "", checkBearer); w.Code != 403 {
			t.Errorf("%s without the scope: status %d", path, w.Code)
		}
	}
	bare := newFixture(t, nil)
	for _, path := range []string{"/v1/jobs", "/v1/broken", "/v1/stats", "/v1/config"} {
		if w := bare.private("GET", path, "", bearer); w.Code != 404 {
			t.Errorf("%s without the parts for it: status %d", path, w.Code)
		}
	}
}

// A unit in which no image is found is told, as a prewarm call tells it.
func TestCheckTellsUnitsWithoutImages(t *testing.T) {
	a := newAPI(t, nil)
	a.prewarm.onCheck = func(context.Context, []prewarm.CheckAsk) ([]prewarm.Checked, error) { return nil, nil }
	w := a.private("POST", "/v1/check", `[{"id":"du_1","title":"a red shoe"}]`, bearer)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"notes":[{"index":0,"id":"du_1","note":{"code":"no_images"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}
