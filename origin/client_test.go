package origin

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

func TestFetch(t *testing.T) {
	body := smallJPEG(t)
	modified := time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)
	var seen http.Header
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
		_, _ = w.Write(body)
	})
	watcher := newNotes()
	c := newClient(t, Hooks{Observer: watcher, Agent: "goldcrest/1.2.3"}, nil)
	o, err := c.Fetch(context.Background(), base+"/a.jpg", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(o.Body, body) || o.Info.Format != "jpeg" || o.Info.Width != 64 || o.Info.Height != 48 {
		t.Errorf("got %d bytes, %+v", len(o.Body), o.Info)
	}
	if !o.LastModified.Equal(modified) || o.Fresh.TTL != time.Minute {
		t.Errorf("modified %v, fresh %+v", o.LastModified, o.Fresh)
	}
	want := http.Header{
		"User-Agent": {"goldcrest/1.2.3"}, "Accept": {"image/*, */*;q=0.1"}, "Accept-Encoding": {"identity"},
		"Via": {"1.1 goldcrest"},
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("the origin saw %v, want %v", seen, want)
	}
	if watcher.of("kind:") != 1 {
		t.Errorf("observed %v", watcher.count)
	}
	// The bytes stay admitted until Release, which counts once.
	memory := c.settings.Load().memory
	if memory.used != int64(len(body)) {
		t.Errorf("%d bytes are held, want %d", memory.used, len(body))
	}
	o.Release()
	o.Release()
	if memory.used != 0 {
		t.Errorf("%d bytes are held after the release, want none", memory.used)
	}
}

func TestMemoryComesBackAfterEveryFault(t *testing.T) {
	picture := smallPNG(t)
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/html":
			_, _ = w.Write([]byte("<html>"))
		case "/half":
			_, _ = w.Write(picture[:len(picture)/2])
		case "/short":
			w.Header().Set("Content-Length", "9999")
			_, _ = w.Write(picture)
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(picture)
		case "/large":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(make([]byte, 200_000))
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes, cfg.Memory = 100_000, 100_000 })
	for path, want := range map[string]fault.Kind{"/html": fault.NotAnImage, "/half": fault.TruncatedSource, "/short": fault.SourceError,
		"/chunked": "", "/large": fault.SourceTooLarge, "/500": fault.SourceError} {
		_, err := get(t, c, base+path)
		wantKind(t, err, want)
		if memory := c.settings.Load().memory; memory.used != 0 || len(memory.hosts)+len(memory.growing) != 0 {
			t.Fatalf("%s: %d bytes were not given back", path, memory.used)
		}
	}
}

func TestWaitForMemoryEndsWithTheContext(t *testing.T) {
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes, cfg.Memory = 1000, 1000 })
	f := fetch{client: c, settings: c.settings.Load(), source: &url.URL{Scheme: "http", Host: "c.example"}, cap: 1000}
	if _, err := f.settings.memory.enter(context.Background(), "http://d.example", 500, 500); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	gone, leave := context.WithCancel(context.Background())
	leave()
	for _, tt := range []struct {
		ctx    context.Context
		length int64
		want   fault.Kind
	}{{late, 501, fault.Overloaded}, {late, -1, fault.Overloaded}, {gone, 501, fault.Canceled}} {
		_, err := f.read(tt.ctx, func(error) {}, &http.Response{ContentLength: tt.length, Body: http.NoBody})
		wantKind(t, err, tt.want)
		if tt.want == fault.Overloaded && fault.Of(err).RetryAfter <= 0 {
			t.Error("no Retry-After")
		}
	}
}

func TestStatuses(t *testing.T) {
	tests := map[int]fault.Kind{
		203: "", 204: fault.SourceError, 206: fault.SourceError, 300: fault.SourceError, 304: fault.SourceError,
		404: fault.SourceNotFound, 410: fault.SourceNotFound, 408: fault.SourceError, 425: fault.SourceError, 429: fault.SourceError,
		500: fault.SourceError, 501: fault.SourceError, 503: fault.SourceError,
	}
	for _, refusal := range []int{400, 401, 402, 403, 405, 406, 409, 412, 415, 416, 418, 421, 422, 451, 499} {
		tests[refusal] = fault.SourceForbidden
	}
	for status, want := range tests {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write(smallJPEG(t))
			})
			_, err := get(t, newClient(t, Hooks{}, nil), base+"/x?token=secret")
			wantKind(t, err, want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error holds the query: %v", err)
			}
			if hits.Load() != 1 {
				t.Errorf("%d requests, want 1", hits.Load())
			}
		})
	}
}

func TestLimitsOnlyLower(t *testing.T) {
	picture := smallPNG(t)
	base, hits := serve(t, send(picture))
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes = int64(len(picture)) })
	for _, tt := range []struct {
		limit int64
		want  fault.Kind
	}{{10, fault.SourceTooLarge}, {0, ""}, {1 << 40, ""}, {int64(len(picture)), ""}} {
		o, err := c.Fetch(context.Background(), base, Limits{Bytes: tt.limit})
		wantKind(t, err, tt.want)
		if err == nil {
			o.Release()
		}
	}
	if hits.Load() != 4 {
		t.Errorf("%d requests, want 4: too large for one URL is no verdict on the source", hits.Load())
	}
	c = newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes = int64(len(picture)) - 1 })
	_, err := c.Fetch(context.Background(), base, Limits{Bytes: 1 << 40})
	wantKind(t, err, fault.SourceTooLarge)
}

func TestURLEncodingVectors(t *testing.T) {
	var target string
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		target = r.RequestURI
		_, _ = w.Write(smallPNG(t))
	})
	c := newClient(t, Hooks{}, nil)
	for _, row := range vectors(t, "url-encoding.tsv") {
		if _, err := get(t, c, strings.ReplaceAll(row["source_url"], "{{ORIGIN}}", base)); err != nil {
			t.Errorf("%s: %v", row["id"], err)
			continue
		}
		wants := strings.Split(row["origin_must_see"], " or ")
		if row["id"] == "u02" {
			wants = []string{"/my%20image%20%28special%2C%20v2%29.jpg"}
		}
		if !slices.Contains(wants, target) {
			t.Errorf("%s: the origin saw %q, want %q", row["id"], target, wants)
		}
	}
	for source, want := range map[string]string{
		"":              "/",
		"?q":            "/?q",
		"/a b.jpg":      "/a%20b.jpg",
		"/ö?x=ö \"<":    "/%C3%B6?x=%C3%B6%20%22%3C",
		"//a/../b/./c":  "//a/../b/./c",
		"/a?x=%zz&y=%2": "/a?x=%zz&y=%2",
	} {
		if _, err := get(t, c, base+source); err != nil || target != want {
			t.Errorf("%q: the origin saw %q, %v, want %q", source, target, err, want)
		}
	}
}

func TestReload(t *testing.T) {
	base, hits := serve(t, send(smallPNG(t)))
	c := newClient(t, Hooks{}, nil)
	cfg := c.settings.Load().cfg
	bad := cfg
	bad.Timeout = 0
	if err := c.Reload(bad); err == nil {
		t.Error("a config without a timeout was taken")
	}
	_, err := get(t, c, base)
	wantKind(t, err, "")
	private := cfg
	private.AllowPrivate = nil
	if err := c.Reload(private); err != nil {
		t.Fatal(err)
	}
	_, err = get(t, c, base) // The idle connection of before is no way round the guard.
	wantKind(t, err, fault.AddressBlocked)
	cfg.Allow = []string{"img.example.com"}
	cfg.PerHost, cfg.Memory = 1, cfg.MaxBytes
	if err := c.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	_, err = get(t, c, base)
	wantKind(t, err, fault.SourceNotAllowed)
	wantKind(t, c.Allowed("https://img.example.com/x"), "")
	if hits.Load() != 1 {
		t.Errorf("%d requests, want 1", hits.Load())
	}
}

// A fetch that a reload overtakes leaves no verdict of the old limits behind.
func TestReloadForgetsVerdictsOfOldLimits(t *testing.T) {
	var c *Client
	reload := func() {}
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		reload()
		send(smallPNG(t))(w, r)
	})
	c = newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes = 8 })
	cfg := c.settings.Load().cfg
	cfg.MaxBytes = 1 << 20
	reload = sync.OnceFunc(func() {
		if err := c.Reload(cfg); err != nil {
			t.Error(err)
		}
	})
	_, err := get(t, c, base)
	wantKind(t, err, fault.SourceTooLarge)
	_, err = get(t, c, base)
	wantKind(t, err, "")
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"allow":         func(c *Config) { c.Allow = []string{"a.*.com"} },
		"allow_private": func(c *Config) { c.AllowPrivate = []string{"10.0.0.0"} },
		"ports":         func(c *Config) { c.Ports = []int{0} },
		"timeout":       func(c *Config) { c.Timeout = 0 },
		"max_bytes":     func(c *Config) { c.MaxBytes = 0 },
		"memory":        func(c *Config) { c.Memory = c.MaxBytes - 1 },
		"slots":         func(c *Config) { c.Slots = 0 },
		"per_host":      func(c *Config) { c.PerHost = 0 },
		"redirects":     func(c *Config) { c.Redirects = -1 },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "origin."+name) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}
