package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

func TestRequestsOfOurOwnFetcherAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	own := f.keys.Markers()[0]
	for via, want := range map[string]int{
		"1.1 " + own: 403, "1.0 cdn, 1.1 " + own + " (x)": 403, "1.1 varnish": 200, own: 200,
		"1.1 goldcrest": 200, "1.1 goldcrest-0123456789abcdef": 200, "1.1 " + own + "0": 200,
	} {
		w := f.do("GET", f.url("", photo), "Via: "+via)
		if w.Code != want {
			t.Errorf("Via %q: status %d, want %d", via, w.Code, want)
		}
		if want == 403 {
			header(t, w, "Cache-Control", "no-store")
			header(t, w, "X-Error", "source_not_allowed")
		}
	}
}

// No cache key holds these headers, so anyone who sends one decides what others get, unless the failure that it causes
// is kept by nobody. The URLs are those of each way to fail, and of none.
func TestErrorsCausedByUncachedHeadersAreNoStore(t *testing.T) {
	f := newFixture(t, nil)
	own := f.keys.Markers()[0]
	headers := []string{
		"Via: 1.1 goldcrest", "Via: 1.1 " + own, "Via: 1.1 a, 1.1 " + own, "Range: bytes=5000-", "Range: bytes=x", "Range: rows=1-2", "If-Range: x",
		`If-Match: "other"`, "If-Match: nonsense", `If-None-Match: "other"`, "If-Unmodified-Since: Mon, 23 Nov 2026 10:00:00 GMT",
		"If-Modified-Since: nonsense", "Cache-Control: only-if-cached", "Cache-Control: no-cache", "Pragma: no-cache", "Expect: 100-continue",
		"Authorization: Bearer x", "Cookie: a=b", "Origin: https://x.example", "Referer: https://x.example", "User-Agent: x", "TE: trailers",
		"Upgrade: h2c", "Connection: upgrade", "Content-Type: text/html", "Content-Encoding: br", "Accept-Encoding: *;q=0", "Accept-Language: xx",
		"Accept-Charset: none", "Max-Forwards: 0", "Forwarded: for=x", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: x.example",
		"X-Forwarded-Proto: gopher", "X-Original-Url: /", "X-Rewrite-Url: /", "X-Http-Method-Override: DELETE", "X-Request-Id: \x00", "Prefer: wait=x",
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document", "Traceparent: x", "DPR: 99", "Width: x", "Viewport-Width: 0", "RTT: x", "Downlink: x",
		"Early-Data: 1", "From: x", "Host: other.example",
	}
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		if kind := fault.Kind(strings.TrimPrefix(ref.Source, "https://c.example/kind/")); slices.Contains(fault.Kinds(), kind) {
			return pipeline.Answer{}, fault.New(kind, "test", "for a test", nil)
		}
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "memory"}, nil
	}
	targets := []string{f.url("w:480/f:webp", photo), "/unsigned", "/", f.url("exp:1", photo), f.url("nonsense:1", photo)}
	for _, kind := range fault.Kinds() {
		targets = append(targets, f.url("f:webp", "https://c.example/kind/"+string(kind)))
	}
	caused := map[int]bool{}
	for _, target := range targets {
		plain := f.do("GET", target)
		for _, line := range headers {
			w := f.do("GET", target, line)
			if w.Code < 400 || w.Code == plain.Code && w.Header().Get("X-Error") == plain.Header().Get("X-Error") {
				continue
			}
			caused[w.Code] = true
			if kept := w.Header().Get("Cache-Control"); kept != "no-store" {
				t.Errorf("%s: %q makes %d of %d, and that is kept: %s", target, line, w.Code, plain.Code, kept)
			}
		}
	}
	for _, status := range []int{403, 412, 416, 504} {
		if !caused[status] {
			t.Errorf("no header caused a %d", status)
		}
	}
}
