package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

func TestStoreKeepsTheLawOfSeals(t *testing.T) {
	_, cfg := newFake(t)
	cachetest.RunSeals(t, func(t *testing.T, seal cache.Seal) cache.Store {
		cfg.Seal = seal
		s, _ := openStore(t, cfg)
		return s
	})
}

// An entry that was made before a purge never comes back, whenever its write lands.
func TestStoreKeepsTheLawOfPurges(t *testing.T) {
	cachetest.RunPurges(t, func(t *testing.T) cache.Store {
		_, cfg := newFake(t)
		s, _ := openStore(t, cfg)
		return s
	})
}

func TestStoreOnFake(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cache.Store {
		_, cfg := newFake(t)
		s, _ := openStore(t, cfg)
		return s
	})
}

func TestObjectsServeACDN(t *testing.T) {
	f, cfg := newFake(t)
	cfg.Prefix = "/images/"
	s, _ := openStore(t, cfg)
	e := cachetest.Entry("one", 100)
	if err := s.Put(t.Context(), "v1/ab/hash/w480.webp", e); err != nil {
		t.Fatal(err)
	}
	o, ok := f.objects["images/v1/ab/hash/w480.webp"]
	if !ok || !bytes.Equal(o.body, e.Body) {
		t.Fatalf("the object is not the bare body under the prefix: %v", f.objects)
	}
	if o.header.Get("Content-Type") != "image/webp" || o.header.Get("Cache-Control") != "public, max-age=2592000" {
		t.Errorf("headers %v", o.header)
	}
	if o.header.Get("Content-Encoding") != "" || o.header.Get("Transfer-Encoding") != "" {
		t.Errorf("the body is sent in chunks that older servers keep: %v", o.header)
	}
	if n, err := s.Delete(t.Context(), ""); n != 1 || err != nil {
		t.Errorf("Delete = %d, %v", n, err)
	}
}

// TestFault13S3Errors: whatever S3 answers, Get gives "unknown" and never a wrong "absent"; one retry, no more.
func TestFault13S3Errors(t *testing.T) {
	reset := func(w http.ResponseWriter, _ *http.Request) bool {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
		return true
	}
	answer := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { refuse(w, r, status, code); return true }
	}
	for _, tt := range []struct {
		name    string
		before  func(http.ResponseWriter, *http.Request) bool
		outcome string // of get
		calls   int    // of one Get
	}{
		{"internal error", answer(500, "InternalError"), "error", 2},
		{"slow down", answer(503, "SlowDown"), "error", 2},
		{"reset", reset, "error", 2},
		{"no such bucket", answer(404, "NoSuchBucket"), "error", 1},
		{"forbidden", answer(403, "AccessDenied"), "error", 2}, // The second call is the self-test's.
		{"absent", answer(404, "NoSuchKey"), "miss", 1},
		{"absent without a code", answer(404, ""), "miss", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, cfg := newFake(t)
			s, obs := openStore(t, cfg)
			f.before = tt.before
			_, err := s.Get(t.Context(), "v1/a")
			if got, want := errors.Is(err, cache.ErrMiss), tt.outcome != "error"; err == nil || got != want {
				t.Errorf("Get = %v, want a miss: %v", err, want)
			}
			obs.expect(t, "get "+tt.outcome, 1)
			if calls := f.called(); len(calls) != tt.calls {
				t.Errorf("%d calls %v, want %d", len(calls), calls, tt.calls)
			}
			if err := s.Put(t.Context(), "v1/a", cachetest.Entry("x", 10)); err == nil || errors.Is(err, cache.ErrMiss) {
				t.Errorf("Put = %v, want an error", err)
			}
			if _, err := s.Delete(t.Context(), "v1/"); err == nil {
				t.Error("Delete hides the error")
			}
			if strings.Contains(fmt.Sprint(err), "goldcrest-test-secret") {
				t.Errorf("the error holds a credential: %v", err)
			}
		})
	}
}

func TestFault13Passing(t *testing.T) {
	f, cfg := newFake(t)
	s, obs := openStore(t, cfg)
	n := 0
	f.before = func(w http.ResponseWriter, r *http.Request) bool { // every other call fails
		if n++; n%2 == 1 {
			refuse(w, r, 503, "SlowDown")
			return true
		}
		return false
	}
	want := cachetest.Entry("one", 5000)
	if err := s.Put(t.Context(), "v1/a", want); err != nil {
		t.Errorf("Put = %v, want the retry to succeed with the whole body", err)
	}
	got, err := s.Get(t.Context(), "v1/a")
	if err != nil || cachetest.Diff(got, want) != "" {
		t.Errorf("Get = %v, %s", err, cachetest.Diff(got, want))
	}
	obs.expect(t, "put ok", 1)
	obs.expect(t, "get hit", 1)
}

func TestFault13Timeout(t *testing.T) {
	f, cfg := newFake(t)
	s, obs := openStore(t, cfg)
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done() // until the client hangs up
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "v1/a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %v, want the end of its budget", err)
	}
	obs.expect(t, "get error", 1)
}

func TestFault13TruncatedAnswer(t *testing.T) {
	f, cfg := newFake(t)
	s, _ := openStore(t, cfg)
	if err := s.Put(t.Context(), "v1/a", cachetest.Entry("x", 5000)); err != nil {
		t.Fatal(err)
	}
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		for name, values := range f.objects["v1/a"].header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(f.objects["v1/a"].body[:2000])
		return true
	}
	if e, err := s.Get(t.Context(), "v1/a"); err == nil || errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get = %d bytes, %v, want an unknown error", len(e.Body), err)
	}
}

// TestFault14SpoiledObjects: an object that is not what was put is a miss, counted, and repaired by the next Put.
func TestFault14SpoiledObjects(t *testing.T) {
	f, cfg := newFake(t)
	s, obs := openStore(t, cfg)
	want := cachetest.Entry("one", 3000)
	header := func(o object) string { return o.header.Get("X-Amz-Meta-Goldcrest") }
	for i, tt := range []struct {
		name  string
		spoil func(o, other object) object
		stat  bool // Stat sees it too
	}{
		{"flipped bit", func(o, _ object) object { o.body = bytes.Clone(o.body); o.body[1500] ^= 4; return o }, false},
		{"cut", func(o, _ object) object { o.body = o.body[:2999]; return o }, true},
		{"empty", func(o, _ object) object { o.body = nil; return o }, true},
		{"another key's body", func(o, other object) object { o.body = other.body; return o }, false},
		{"another key's object", func(_, other object) object { return other }, true},
		{"no metadata", func(o, _ object) object { o.header = http.Header{}; return o }, true},
		{"metadata not base64", func(o, _ object) object { o.header = http.Header{"X-Amz-Meta-Goldcrest": {"%"}}; return o }, true},
		{"metadata cut", func(o, _ object) object {
			o.header = http.Header{"X-Amz-Meta-Goldcrest": {header(o)[:40]}}
			return o
		}, true},
		{"foreign and huge", func(o, _ object) object { o.body = make([]byte, cache.MaxBody+1); return o }, true},
	} {
		for key, e := range map[string]cache.Entry{"v1/a": want, "v1/b": cachetest.Entry("two", 3000)} {
			if err := s.Put(t.Context(), key, e); err != nil {
				t.Fatal(err)
			}
		}
		f.objects["v1/a"] = tt.spoil(f.objects["v1/a"], f.objects["v1/b"])
		before := obs.n["checksum error"]
		if e, err := s.Get(t.Context(), "v1/a"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("%s: Get = %d bytes, %v, want ErrMiss", tt.name, len(e.Body), err)
		}
		if obs.n["checksum error"] != before+1 {
			t.Errorf("%s: not counted", tt.name)
		}
		if _, err := s.Stat(t.Context(), "v1/a"); errors.Is(err, cache.ErrMiss) != tt.stat {
			t.Errorf("%s: Stat = %v, want a miss: %v", tt.name, err, tt.stat)
		}
		if i == 0 {
			obs.expect(t, "get miss", 1)
		}
	}
}

func TestDeleteInBatches(t *testing.T) {
	f, cfg := newFake(t)
	s, _ := openStore(t, cfg)
	fill := func(n int, kind string) {
		for i := range n {
			if err := s.Put(t.Context(), fmt.Sprintf("v1/%s%d", kind, i), cachetest.Entry("x", 10)); err != nil {
				t.Fatal(err)
			}
		}
		f.calls = nil
	}
	fill(5, "a")
	if n, err := s.Delete(t.Context(), "v1/"); n != 5 || err != nil || len(f.calls) != 6 {
		t.Errorf("Delete = %d, %v, in %v, want 5 in three pages", n, err, f.calls)
	}
	fill(5, "a")
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("delete") {
			refuse(w, r, 501, "NotImplemented")
			return true
		}
		return false
	}
	if n, err := s.Delete(t.Context(), "v1/"); n != 5 || err != nil || len(f.objects) != 0 {
		t.Errorf("Delete = %d, %v, want 5, one by one", n, err)
	}
	f.before = nil
	fill(1, "a")
	fill(1, "locked")
	if n, err := s.Delete(t.Context(), "v1/"); n != 1 || err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("Delete = %d, %v, want 1 and what is wrong with the other", n, err)
	}
}

func TestSelfTestNamesTheMissingRight(t *testing.T) {
	refuseIf := func(deny func(r *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if deny(r) {
				refuse(w, r, 403, "AccessDenied")
				return true
			}
			return false
		}
	}
	for _, tt := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		want   []string // in the error; none = no error
	}{
		{"all rights", nil, nil},
		{"put", refuseIf(func(r *http.Request) bool { return r.Method == "PUT" }), []string{"s3:PutObject", `"bucket"`}},
		{"get", refuseIf(func(r *http.Request) bool { return r.Method == "GET" && !r.URL.Query().Has("list-type") }), []string{"s3:GetObject"}},
		{"list", refuseIf(func(r *http.Request) bool { return r.URL.Query().Has("list-type") }), []string{"s3:ListBucket"}},
		{"delete", refuseIf(func(r *http.Request) bool { return r.Method == "DELETE" }), []string{"s3:DeleteObject"}},
		{"list and delete", refuseIf(func(r *http.Request) bool {
			return r.URL.Query().Has("list-type") || r.Method == "DELETE"
		}), []string{"s3:ListBucket", "s3:DeleteObject"}},
		{"bucket", func(w http.ResponseWriter, r *http.Request) bool { refuse(w, r, 404, "NoSuchBucket"); return true }, []string{"no bucket"}},
		{"metadata", func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("X-Amz-Meta-Goldcrest")
			return false
		}, []string{"user metadata"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, cfg := newFake(t)
			s, _ := openStore(t, cfg)
			f.before = tt.before
			err := s.SelfTest(t.Context())
			if (err == nil) != (len(tt.want) == 0) {
				t.Errorf("SelfTest = %v", err)
			}
			for _, want := range tt.want {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("SelfTest = %v, want %q in it", err, want)
				}
			}
			if len(f.objects) != 0 && !strings.Contains(tt.name, "delete") {
				t.Errorf("the probe is left: %d objects", len(f.objects))
			}
		})
	}
}

func TestOpen(t *testing.T) {
	isolate(t)
	good := Config{Bucket: "b", Region: "eu-central-1", Checksums: whenRequired}
	if _, err := Open(t.Context(), good, nil); err != nil {
		t.Errorf("Open = %v", err)
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no bucket":      func(c *Config) { c.Bucket = "" },
		"no region":      func(c *Config) { c.Region = "" },
		"checksums":      func(c *Config) { c.Checksums = "always" },
		"prefix":         func(c *Config) { c.Prefix = "a/../b" },
		"endpoint":       func(c *Config) { c.Endpoint = "ftp://host" },
		"endpoint, host": func(c *Config) { c.Endpoint = "localhost:9000" },
		"endpoint, secret": func(c *Config) {
			c.Endpoint = (&url.URL{Scheme: "http", User: url.UserPassword("id", "hunter2"), Host: "h"}).String()
		},
	} {
		cfg := good
		change(&cfg)
		_, err := Open(t.Context(), cfg, nil)
		if err == nil {
			t.Errorf("%s: Open passes", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds a secret: %v", name, err)
		}
	}
}
