package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// contractRows is the table of the contract, in its order.
var contractRows = []struct {
	status  int
	kinds   string
	control string
	retry   string
}{
	{400, "bad_path bad_option unsupported_option bad_source", "max-age=3600", ""},
	{401, "unauthorized", "max-age=60", ""},
	{403, "forbidden_scope bad_signature key_not_valid source_not_allowed address_blocked", "max-age=60", ""},
	{404, "source_not_found not_found no_such_job", "max-age=60", ""},
	{405, "method_not_allowed", "no-store", ""},
	{408, "body_timeout", "no-store", ""},
	{409, "idempotency_conflict", "no-store", ""},
	{410, "url_expired", "max-age=3600", ""},
	{413, "source_too_large body_too_large", "max-age=3600", ""},
	{415, "not_an_image unsupported_format", "max-age=300", ""},
	{422, "too_many_pixels too_many_frames result_too_large decode_failed truncated_source hash_mismatch too_costly poison bad_unit bad_selector", "max-age=300", ""},
	{429, "rate_limited", "no-store", "1"},
	{429, "queue_full", "no-store", "5"},
	{429, "quota_exceeded", "no-store", "30"},
	{500, "internal", "no-store", ""},
	{502, "source_error connect_failed tls_failed too_many_redirects source_forbidden dns_failed", "no-store", ""},
	{503, "overloaded shutting_down", "no-store", "1"},
	{503, "origin_circuit_open", "no-store", "5"},
	{504, "source_timeout transform_timeout not_cached", "no-store", ""},
	{507, "disk_full", "no-store", "30"},
}

func TestEveryKindIsAnsweredAsTheContractSays(t *testing.T) {
	seen := map[fault.Kind]bool{fault.Canceled: true} // the log knows it alone
	for _, row := range contractRows {
		for word := range strings.FieldsSeq(row.kinds) {
			kind := fault.Kind(word)
			seen[kind] = true
			t.Run(word, func(t *testing.T) {
				f := newFixture(t, func(c *Config, _ *access.Rules) { c.CORS = []string{"*"} })
				f.images.onGet = failing(fault.New(kind, "test.Get", "a sentence", errors.New("for the operator")))
				w := f.do("GET", f.url("", photo), "X-Request-Id: r-1")
				if w.Code != row.status || code(t, w) != kind {
					t.Fatalf("status %d, code %s; want %d", w.Code, code(t, w), row.status)
				}
				header(t, w, "Cache-Control", row.control)
				header(t, w, "Retry-After", row.retry)
				for name, want := range map[string]string{
					"Content-Type": "application/problem+json", "Vary": "Accept", "Access-Control-Allow-Origin": "*",
					"Cross-Origin-Resource-Policy": "cross-origin", "X-Content-Type-Options": "nosniff",
					"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
					"Cache-Status":            "goldcrest; fwd=miss; detail=" + word, "ETag": "", "Last-Modified": "", "Accept-Ranges": "",
				} {
					header(t, w, name, want)
				}
				var p map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
					t.Fatal(err)
				}
				if p["type"] != "urn:goldcrest:error:"+word || p["detail"] != "a sentence" || p["request_id"] != "r-1" || p["title"] == "" ||
					p["retryable"] != kind.Retryable() || len(p) != 7 {
					t.Errorf("problem %v", p)
				}
				head := f.do("HEAD", f.url("", photo), "X-Request-Id: r-1")
				if head.Code != row.status || head.Body.Len() != 0 || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
					t.Errorf("HEAD: status %d, %d bytes, Content-Length %q",
						head.Code, head.Body.Len(), head.Header().Get("Content-Length"))
				}
			})
		}
	}
	for _, kind := range fault.Kinds() {
		if !seen[kind] {
			t.Errorf("%s is not in the contract's table", kind)
		}
	}
}

func TestRetryAfterOfTheFaultWins(t *testing.T) {
	f := newFixture(t, nil)
	e := fault.New(fault.Overloaded, "test", "full", nil)
	e.RetryAfter = 2500 * time.Millisecond
	f.images.onGet = failing(e)
	header(t, f.do("GET", f.url("", photo)), "Retry-After", "3")
}

func TestErrorsBeforeParsingVaryToo(t *testing.T) {
	f := newFixture(t, nil)
	for name, target := range map[string]string{"bad signature": "/AAAA/w:1/" + "aHR0cDovL2EvYg", "nothing": "/", "bad path": f.url("", photo)[:60]} {
		w := f.do("GET", target)
		if w.Code != 403 {
			t.Errorf("%s: status %d", name, w.Code)
		}
		header(t, w, "Vary", "Accept")
		header(t, w, "Cache-Status", "goldcrest; detail=bad_signature")
	}
}

func TestDeadlineAndCallersWhoLeave(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.Deadline = time.Millisecond })
	f.images.onGet = func(ctx context.Context, _ variant.Ref) (pipeline.Answer, error) {
		<-ctx.Done()
		return pipeline.Answer{}, ctx.Err()
	}
	if w := f.do("GET", f.url("", photo)); w.Code != 504 || code(t, w) != fault.TransformTimeout {
		t.Errorf("deadline: status %d", w.Code)
	}

	ctx, leave := context.WithCancel(context.Background())
	leave()
	r := httptest.NewRequest("GET", f.url("", photo), nil).WithContext(ctx)
	w := httptest.NewRecorder()
	f.Public().ServeHTTP(w, r)
	if w.Code != 499 || w.Body.Len() != 0 {
		t.Errorf("left: status %d, %d bytes", w.Code, w.Body.Len())
	}
	if !strings.Contains(f.log.String(), `"code":"canceled"`) {
		t.Error("the log does not say canceled")
	}

	f.images.onGet = failing(context.Canceled)
	if w := f.do("GET", f.url("", photo)); w.Code != 503 || code(t, w) != fault.ShuttingDown {
		t.Errorf("given up while the caller waits: status %d", w.Code)
	}
}

func TestPanicIsOneInternalError(t *testing.T) {
	f := newFixture(t, nil)
	f.images.onGet = func(context.Context, variant.Ref) (pipeline.Answer, error) {
		panic("a bug in " + photo + "?token=s3cret")
	}
	w := f.do("GET", f.url("", photo))
	if w.Code != 500 || code(t, w) != fault.Internal || strings.Contains(w.Body.String(), "bug") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if log := f.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "image_test.go") && !strings.Contains(log, "status_test.go") || strings.Contains(log, "s3cret") {
		t.Errorf("log: %s", log)
	}
}

func TestFallbackKeepsStatusAndIsKeptShortly(t *testing.T) {
	const spare = "http://photos.example/spare.png"
	for _, tc := range []struct {
		kind    fault.Kind
		status  int
		control string
		work    bool
	}{
		{fault.SourceNotFound, 404, "max-age=60", true},
		{fault.SourceTooLarge, 413, "max-age=60", true},
		{fault.SourceError, 502, "no-store", true},
		{fault.Overloaded, 503, "no-store", false},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			f := newFixture(t, nil)
			serveSpare := func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
				if ref.Source != spare {
					return pipeline.Answer{}, fault.New(tc.kind, "test", "no", nil)
				}
				return pipeline.Answer{Entry: testEntry(ref), Outcome: pipeline.Miss}, nil
			}
			f.images.onGet, f.images.onPeek = serveSpare, serveSpare
			w := f.do("GET", f.url("w:480/hs:sha256:"+strings.Repeat("ab", 32)+"/fiu:"+encode(spare), photo), "Accept: image/webp")
			if w.Code != tc.status || w.Body.Len() != 1000 {
				t.Fatalf("status %d, %d bytes: %.200s", w.Code, w.Body.Len(), w.Body)
			}
			header(t, w, "Cache-Control", tc.control)
			header(t, w, "Content-Type", "image/webp")
			header(t, w, "X-Error", string(tc.kind))
			header(t, w, "ETag", "")
			header(t, w, "Vary", "Accept")
			if second := f.images.asked[1]; second.Spec.Width != 480 || second.Spec.Fallback != "" || second.Spec.HashSum != "" {
				t.Errorf("asked for %+v", second)
			}
			if (f.images.gets == 2) != tc.work {
				t.Errorf("%d gets, %d peeks", f.images.gets, f.images.peeks)
			}
		})
	}
	t.Run("a broken fallback leaves the first error", func(t *testing.T) {
		f := newFixture(t, nil)
		f.images.onGet = failing(fault.New(fault.NotAnImage, "test", "no image", nil))
		if w := f.do("GET", f.url("fiu:"+encode(spare), photo)); w.Code != 415 || code(t, w) != fault.NotAnImage {
			t.Errorf("status %d", w.Code)
		}
	})
}

// The table of docs/urls.md has every failure that an image URL can meet, with its status.
