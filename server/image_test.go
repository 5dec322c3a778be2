package server

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

const finalControl = "public, max-age=2592000, stale-while-revalidate=3600, stale-if-error=86400, immutable"

func TestAnswerHasEveryHeaderOfTheContract(t *testing.T) {
	f := newFixture(t, nil)
	url := f.url("rs:fit:480:0/ct:campaign-7:shop", photo)
	ref := variant.Ref{Source: photo}
	w := f.do("GET", url, "X-Request-Id: abc-123")
	if w.Code != 200 || w.Body.Len() != 1000 {
		t.Fatalf("status %d, %d bytes: %.300s", w.Code, w.Body.Len(), w.Body)
	}
	tag := "s-" + ref.SourceHash()[:16]
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "Content-Length": "1000", "ETag": testETag, "Last-Modified": "Mon, 23 Nov 2026 11:00:00 GMT",
		"Cache-Control": finalControl, "Vary": "Accept", "Accept-Ranges": "bytes",
		"Cache-Tag": tag + ",campaign-7,shop", "Surrogate-Key": tag + " campaign-7 shop",
		"Cache-Status":                 "goldcrest; hit; detail=memory",
		"Cross-Origin-Resource-Policy": "cross-origin", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
		"X-Request-Id":            "abc-123", "X-Error": "", "Content-Disposition": "", "Access-Control-Allow-Origin": "",
		"Goldcrest-Frames": "", "Goldcrest-Reduced": "", "Connection": "",
	} {
		header(t, w, name, want)
	}
}

func TestCacheStatusAndTimingsTellTheOutcome(t *testing.T) {
	for _, tc := range []struct {
		name           string
		answer         pipeline.Answer
		status, timing string
		control        string
	}{
		{"memory", pipeline.Answer{Outcome: pipeline.Hit, Tier: "memory"}, "goldcrest; hit; detail=memory", "", finalControl},
		{"store", pipeline.Answer{Outcome: pipeline.Hit, Tier: "store", Timings: pipeline.Timings{Lookup: 2500 * time.Microsecond}},
			"goldcrest; hit; detail=store", "lookup;dur=2.5", finalControl},
		{"stale", pipeline.Answer{Outcome: pipeline.Stale, Tier: "memory", Over: 90 * time.Second}, "goldcrest; hit; ttl=-90; detail=stale", "",
			"public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400"},
		{"miss", pipeline.Answer{Outcome: pipeline.Miss, Timings: pipeline.Timings{Lookup: 1e6, Queue: 2e6, Fetch: 3e6, Transform: 4e6}},
			"goldcrest; fwd=miss", "lookup;dur=1, queue;dur=2, fetch;dur=3, transform;dur=4", finalControl},
		{"collapsed", pipeline.Answer{Outcome: pipeline.Collapsed}, "goldcrest; fwd=miss; collapsed", "", finalControl},
		{"from a master", pipeline.Answer{Outcome: pipeline.Miss, Tier: pipeline.TierMaster}, "goldcrest; fwd=miss; detail=master", "", finalControl},
		{"collapsed, from a master", pipeline.Answer{Outcome: pipeline.Collapsed, Tier: pipeline.TierMaster}, "goldcrest; fwd=miss; collapsed; detail=master", "", finalControl},
		{"forbidden to keep", pipeline.Answer{Outcome: pipeline.Miss, NoStore: true}, "goldcrest; fwd=miss", "", "no-store"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
				tc.answer.Entry = testEntry(ref)
				return tc.answer, nil
			}
			w := f.do("GET", f.url("f:webp", photo))
			header(t, w, "Cache-Status", tc.status)
			header(t, w, "Server-Timing", tc.timing)
			header(t, w, "Cache-Control", tc.control)
		})
	}
}

func TestFault32Delivery(t *testing.T) {
	body := testEntry(variant.Ref{}).Body
	for _, tc := range []struct {
		name, method string
		headers      []string
		status       int
		want         map[string]string
		body         []byte
	}{
		{"HEAD is truthful", "HEAD", nil, 200, map[string]string{"Content-Length": "1000", "Content-Type": "image/webp", "ETag": testETag}, nil},
		{"Range", "GET", []string{"Range: bytes=10-19"}, 206, map[string]string{"Content-Range": "bytes 10-19/1000", "Content-Length": "10"}, body[10:20]},
		{"suffix Range", "GET", []string{"Range: bytes=-5"}, 206, map[string]string{"Content-Range": "bytes 995-999/1000"}, body[995:]},
		{"HEAD with Range", "HEAD", []string{"Range: bytes=10-19"}, 206, map[string]string{"Content-Length": "10"}, nil},
		{"If-Range same", "GET", []string{"Range: bytes=0-0", "If-Range: " + testETag}, 206, nil, body[:1]},
		{"If-Range other", "GET", []string{"Range: bytes=0-0", `If-Range: "other"`}, 200, nil, body},
		{"If-Range by date", "GET", []string{"Range: bytes=0-0", "If-Range: Mon, 23 Nov 2026 11:00:00 GMT"}, 200,
			nil, body},
		{"two ranges", "GET", []string{"Range: bytes=0-0,2-2"}, 200, map[string]string{"Content-Length": "1000"}, body},
		{"ranges in two lines", "GET", []string{"Range: bytes=0-0", "Range: bytes=2-2"}, 200, nil, body},
		{"the last 0 bytes", "GET", []string{"Range: bytes=-00"}, 200, map[string]string{"Content-Range": ""}, body},
		{"the last +0 bytes", "GET", []string{"Range: bytes=-+0"}, 200, map[string]string{"Content-Range": ""}, body},
		{"the last  0 bytes", "GET", []string{"Range: bytes=- 0"}, 200, map[string]string{"Content-Range": ""}, body},
		{"Range beyond the end", "GET", []string{"Range: bytes=1000-"}, 416, map[string]string{
			"Content-Range": "bytes */1000", "Cache-Control": "no-store", "ETag": "", "X-Error": "range_not_satisfiable", "Content-Type": "application/problem+json"}, nil},
		{"Range in capitals", "GET", []string{"Range: BYTES=10-19"}, 206, map[string]string{"Content-Range": "bytes 10-19/1000"}, body[10:20]},
		{"Range of another unit", "GET", []string{"Range: rows=10-19"}, 200, map[string]string{"Content-Length": "1000", "Content-Range": ""}, body},
		{"Range without a unit", "GET", []string{"Range: 10-19"}, 200, map[string]string{"Content-Length": "1000"}, body},
		{"If-Range with another unit", "GET", []string{"Range: rows=1-2", "If-Range: " + testETag}, 200, nil, body},
		{"If-Range twice", "GET", []string{"Range: bytes=0-0", "If-Range: " + testETag, `If-Range: "other"`}, 200, nil, body},
		{"If-Match in a second line", "GET", []string{`If-Match: "other"`, "If-Match: " + testETag}, 200, nil, body},
		{"If-Match before If-None-Match", "GET", []string{`If-Match: "other"`, "If-None-Match: " + testETag}, 412, nil, nil},
		{"If-Unmodified-Since before If-None-Match", "GET", []string{"If-Unmodified-Since: Mon, 23 Nov 2026 10:00:00 GMT", "If-None-Match: " + testETag}, 412, nil, nil},
		{"ETag in a second line after a miss", "GET", []string{`If-None-Match: "a"`, "If-None-Match: " + testETag}, 304, nil, nil},
		{"If-Match other", "GET", []string{`If-Match: "other"`}, 412, map[string]string{"Cache-Control": "no-store", "X-Error": "precondition_failed"}, nil},
		{"same ETag after a miss", "GET", []string{"If-None-Match: " + testETag}, 304, map[string]string{"Cache-Control": finalControl, "ETag": testETag, "Content-Type": ""}, nil},
		{"other ETag", "GET", []string{`If-None-Match: "other"`}, 200, nil, body},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			w := f.do(tc.method, f.url("f:webp", photo), tc.headers...)
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %.200s", w.Code, tc.status, w.Body)
			}
			for name, want := range tc.want {
				header(t, w, name, want)
			}
			if tc.body != nil && !bytes.Equal(w.Body.Bytes(), tc.body) {
				t.Errorf("%d bytes, want %d", w.Body.Len(), len(tc.body))
			}
			if (tc.method == "HEAD" || tc.status == 304) && w.Body.Len() != 0 {
				t.Errorf("%d bytes of body", w.Body.Len())
			}
			header(t, w, "Vary", "")
		})
	}
}

func TestFault32NotModifiedWithoutWork(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"same", []string{"If-None-Match: " + testETag}, 304},
		{"weak", []string{"If-None-Match: W/" + testETag}, 304},
		{"in a list", []string{`If-None-Match: "a", ` + testETag}, 304},
		{"in a second line", []string{`If-None-Match: "a"`, `If-None-Match: "b", ` + testETag}, 304},
		{"after an empty line", []string{"If-None-Match: ", "If-None-Match: " + testETag}, 304},
		{"two dates are none", []string{"If-Modified-Since: Mon, 23 Nov 2026 11:00:00 GMT", "If-Modified-Since: Mon, 23 Nov 2026 11:00:00 GMT"}, 200},
		{"any", []string{"If-None-Match: *"}, 304},
		{"other", []string{`If-None-Match: "a"`}, 200},
		{"not modified since", []string{"If-Modified-Since: Mon, 23 Nov 2026 11:00:00 GMT"}, 304},
		{"modified since", []string{"If-Modified-Since: Mon, 23 Nov 2026 10:59:59 GMT"}, 200},
		{"the tag counts, not the date", []string{`If-None-Match: "a"`, "If-Modified-Since: Mon, 23 Nov 2026 11:00:00 GMT"}, 200},
		{"no date", []string{"If-Modified-Since: yesterday"}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.images.onStat = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
				return pipeline.Answer{Entry: cache.Entry{Meta: testEntry(ref).Meta}, Outcome: pipeline.Hit, Tier: "store", Age: time.Hour}, nil
			}
			w := f.do("GET", f.url("", photo), append(tc.headers, "Accept: image/avif,*/*")...)
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d", w.Code, tc.status)
			}
			header(t, w, "Vary", "Accept")
			header(t, w, "ETag", testETag)
			header(t, w, "Cache-Control", finalControl)
			wantGets := 1
			if tc.status == 304 {
				wantGets = 0
				header(t, w, "Cache-Status", "goldcrest; hit; detail=store")
				header(t, w, "Content-Type", "")
			}
			if f.images.gets != wantGets || f.images.stats != 1 {
				t.Errorf("%d gets and %d stats, want %d and 1", f.images.gets, f.images.stats, wantGets)
			}
		})
	}
}

// TestNotModifiedLivesAsLongAsTheAnswer asks with and without a condition for an entry that is older than its bytes: it
// was made from a master.
func TestNotModifiedLivesAsLongAsTheAnswer(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) { r.Lifetimes.HonourOrigin = true })
	f.images.onStat = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		e := testEntry(ref)
		e.Attrs["life"] = "7200"
		return pipeline.Answer{Entry: e, Outcome: pipeline.Hit, Tier: "memory", Age: 90 * time.Minute}, nil
	}
	f.images.onGet = f.images.onStat
	target := f.url("f:webp", photo)
	whole, short := f.do("GET", target), f.do("GET", target, "If-None-Match: "+testETag)
	if whole.Code != 200 || short.Code != 304 {
		t.Fatalf("status %d and %d, want 200 and 304", whole.Code, short.Code)
	}
	header(t, whole, "Cache-Control", "public, max-age=1800, stale-while-revalidate=3600, stale-if-error=86400")
	for _, name := range []string{"Cache-Control", "ETag", "Last-Modified", "Vary", "Cache-Status", "Cache-Tag"} {
		header(t, short, name, whole.Header().Get(name))
	}
}

func TestFault32OnlyIfCached(t *testing.T) {
	f := newFixture(t, nil)
	w := f.do("GET", f.url("", photo), "Cache-Control: max-stale=5, Only-If-Cached")
	if w.Code != 504 || code(t, w) != fault.NotCached {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	header(t, w, "Cache-Control", "no-store")
	header(t, w, "Cache-Status", "goldcrest; fwd=miss; detail=not_cached")
	header(t, w, "Vary", "Accept")
	f.images.onPeek = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Hit, Tier: "store"}, nil
	}
	if w = f.do("GET", f.url("", photo), "Cache-Control: only-if-cached"); w.Code != 200 {
		t.Errorf("status %d of what is cached", w.Code)
	}
	if f.images.gets != 0 || f.images.peeks != 2 {
		t.Errorf("%d gets, %d peeks; want 0, 2", f.images.gets, f.images.peeks)
	}
}

func TestExpiryEndsURLsAndClipsLifetimes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		left   time.Duration
		status int
		want   string
	}{
		{"past", -time.Second, 410, "max-age=3600"},
		{"exactly now", 0, 410, "max-age=3600"},
		{"a minute left", time.Minute, 200, "public, max-age=60, immutable"},
		{"month and a half hour left", 720*time.Hour + 30*time.Minute, 200, "public, max-age=2592000, stale-while-revalidate=1800, stale-if-error=1800, immutable"},
		{"a year left", 365 * 24 * time.Hour, 200, finalControl},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			w := f.do("GET", f.url("exp:"+strconv.FormatInt(testNow.Add(tc.left).Unix(), 10), photo))
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			header(t, w, "Cache-Control", tc.want)
			header(t, w, "Vary", "Accept")
		})
	}
	t.Run("an error does not outlive the URL", func(t *testing.T) {
		f := newFixture(t, nil)
		f.images.onGet = failing(fault.New(fault.SourceTooLarge, "test", "too large", nil))
		w := f.do("GET", f.url("exp:"+strconv.FormatInt(testNow.Add(10*time.Second).Unix(), 10), photo))
		header(t, w, "Cache-Control", "max-age=10")
	})
}

func TestKeysAreHeldToTheirSourcesAndPresets(t *testing.T) {
	change := func(_ *Config, r *access.Rules) {
		*r = testRules(t, nil, signing.Key{Key: testKey, Sources: []string{"*.example"}, Presets: []string{"lite"}})
	}
	for _, tc := range []struct {
		name, options, source string
		status                int
	}{
		{"allowed", "pr:lite", photo, 200},
		{"allowed with an expiry", "pr:lite/exp:4000000000", photo, 200},
		{"another host", "pr:lite", "http://evil.test/a.jpg", 403},
		{"options beside the preset", "pr:lite/w:9000", photo, 403},
		{"options alone", "w:480", photo, 403},
		{"nothing", "", photo, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, change)
			w := f.do("GET", f.url(tc.options, tc.source))
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			if tc.status == 403 && (code(t, w) != fault.SourceNotAllowed || f.images.gets != 0) {
				t.Errorf("code %s after %d gets", code(t, w), f.images.gets)
			}
		})
	}
}

func TestPathPrefixIsCutBeforeVerifying(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.PathPrefix = "/img" })
	url := f.url("w:480", photo)
	for target, want := range map[string]int{"/img" + url: 200, url: 404, "/imgx" + url: 404, "/img": 404} {
		if w := f.do("GET", target); w.Code != want {
			t.Errorf("%.20s: status %d, want %d", target, w.Code, want)
		}
	}
}

func TestRequestFormsOfTheSameURL(t *testing.T) {
	f := newFixture(t, nil)
	url := f.url("w:480", photo)
	for _, target := range []string{url, url + "?x=1", "http://img.example" + url} {
		if w := f.do("GET", target); w.Code != 200 {
			t.Errorf("%.40s: status %d: %s", target, w.Code, w.Body)
		}
	}
	for _, ref := range f.images.asked {
		if ref != f.images.asked[0] {
			t.Errorf("ref %+v, want %+v", ref, f.images.asked[0])
		}
	}
	long := f.do("GET", "/"+strings.Repeat("a", 16<<10))
	if long.Code != 400 || code(t, long) != fault.BadPath {
		t.Errorf("too long: status %d", long.Code)
	}
}

func TestHonouredOriginBoundsMaxAge(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) { r.Lifetimes.HonourOrigin = true })
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		e := testEntry(ref)
		e.Attrs["life"] = "3900"
		return pipeline.Answer{Entry: e, Outcome: pipeline.Hit, Tier: "memory", Age: time.Hour}, nil
	}
	header(t, f.do("GET", f.url("", photo)), "Cache-Control", "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400")
}

func TestMethods(t *testing.T) {
	f := newFixture(t, nil)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "FOO"} {
		w := f.do(method, f.url("", photo))
		if w.Code != http.StatusMethodNotAllowed || code(t, w) != fault.MethodNotAllowed {
			t.Errorf("%s: status %d", method, w.Code)
		}
		for _, allowed := range []string{"GET", "HEAD", "OPTIONS"} {
			if !strings.Contains(w.Header().Get("Allow"), allowed) {
				t.Errorf("%s: Allow %q lacks %s", method, w.Header().Get("Allow"), allowed)
			}
		}
		header(t, w, "Cache-Control", "no-store")
	}
	if f.images.gets != 0 {
		t.Errorf("%d gets", f.images.gets)
	}
}

// failing is a Get or Peek that always fails.
func failing(err error) func(context.Context, variant.Ref) (pipeline.Answer, error) {
	return func(context.Context, variant.Ref) (pipeline.Answer, error) { return pipeline.Answer{}, err }
}

// BenchmarkLongWay is a memory hit through the router and all steps, without a socket.
func BenchmarkLongWay(b *testing.B) {
	f := newFixture(b, nil)
	r := httptest.NewRequest("GET", f.url("rs:fit:480:0", photo), nil)
	r.Header.Set("Accept", "image/avif,image/webp,*/*;q=0.8")
	h := f.Public()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
		f.images.asked = nil
	}
}
