package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// opened is a Reporter to s, and a log that it reads. lost counts.
func opened(t *testing.T, s *fake, cfg Config, lost *atomic.Int64) (*Reporter, *slog.Logger) {
	t.Helper()
	cfg.DSNFile = s.dsn(t)
	r, err := Open(cfg, Source{
		Version: "v1.2.3", Instance: "i1", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Lost: func(_ string, items int) { lost.Add(int64(items)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, slog.New(r.Handler())
}

const hush = "hush-0123456789abcdef0123456789abcdef"

// boom panics as a bug does, and returns the text of the panic with its stack.
func boom() (text string) {
	defer func() {
		r := recover()
		text = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
	}()
	var none []int
	return fmt.Sprint(none[len(text)+3])
}

// Only unexpected failures are reported, each in an envelope that Sentry accepts, and without secrets.
func TestUnexpectedFailuresAreReported(t *testing.T) {
	s := startSentry(t)
	var lost atomic.Int64
	r, log := opened(t, s, Default(), &lost)
	log.Error("request", "id", "r1", "status", 500, "code", "internal", "route", "/v1/check", "source", "https://h/?"+
		hush,
		"token", "shop", "error", "api.check: internal: an internal error: get https://u:"+hush+"@h/x?sig="+hush+
			": EOF, token="+hush)
	log.Error("request", "status", 500, "code", "internal", "error", "exchange.run: internal: an internal error: "+
		boom())
	log.Error("a prewarm handler panicked", "ticket", "t1", "panic", errors.New("nil map"), "stack",
		string(debug.Stack()))
	log.Warn("a look-up failed; making the variant instead", "error", errors.New(boom()))
	log.With("intake", "shop").Warn("it failed", "error", fault.New(fault.Internal, "x.Y", "an internal error", nil))
	log.Warn("worker ended", "pid", 7, "reason", "crash", "state", "signal: segmentation fault", "detail", nil,
		"said", "a | b")
	// Expected ones.
	log.Info("request", "code", "internal")
	log.Warn("worker ended", "reason", "timeout", "state", "signal: killed")
	log.Warn("request", "status", 502, "code", "source_error", "error", "origin.Fetch: source_error: no")
	log.Error("the bucket failed its self-test; serving without it until it answers", "error",
		errors.New("connection refused"))
	r.Close(t.Context())
	if len(s.events) != 6 || lost.Load() != 0 {
		t.Fatalf("%d events, %d lost: %v", len(s.events), lost.Load(), s.events)
	}
	for i, want := range []struct{ kind, value, message string }{
		{internal, "api.check: internal: an internal error: get https://... EOF, token=...", "request"},
		{panicked, "exchange.run: internal: an internal error: panic: runtime error: index out of range [3] with length 0", "request"},
		{panicked, "nil map", "a prewarm handler panicked"},
		{panicked, "panic: runtime error: index out of range [3] with length 0",
			"a look-up failed; making the variant instead"},
		{internal, "x.Y: internal: an internal error", "it failed"},
		{crashed, "a | b", "worker ended"},
	} {
		e := s.events[i]
		if len(e.Exception) != 1 || e.Exception[0].Type != want.kind || e.Exception[0].Value != want.value ||
			e.Message != want.message {
			t.Errorf("%d: got %s %+v, want %+v", i, e.Message, e.Exception, want)
		}
		if e.Release != "goldcrest@v1.2.3" || e.Server != "i1" || e.Environment != "production" || e.Level != "error" {
			t.Errorf("%d: got %+v", i, e)
		}
		if strings.Contains(e.raw, "hush") || strings.Contains(e.raw, "shop") && i != 4 {
			t.Errorf("%d: a report contains what is secret: %s", i, e.raw)
		}
		if hasStack := e.Exception[0].Stacktrace != nil; hasStack != (want.kind == panicked) ||
			hasStack == (e.Fingerprint != nil) {
			t.Errorf("%d: has a stack: %v, fingerprint %q", i, hasStack, e.Fingerprint)
		}
	}
	if got := s.events[0].Tags; got["id"] != "r1" || got["status"] != "500" || got["route"] != "/v1/check" {
		t.Errorf("tags %v", got)
	}
	frames := s.events[1].Exception[0].Stacktrace.Frames
	last := frames[len(frames)-1]
	if last.Function != "boom" || last.Module != "github.com/goldcrest/goldcrest/report" || last.Lineno == 0 ||
		!last.InApp ||
		last.Filename != "github.com/goldcrest/goldcrest/report/report_test.go" {
		t.Errorf("the newest frame is %+v, want the function that panicked", last)
	}
	if first := frames[0]; first.Module != "testing" || first.InApp {
		t.Errorf("the oldest frame is %+v", first)
	}
}

func TestReportsAreBounded(t *testing.T) {
	s := startSentry(t)
	var lost atomic.Int64
	cfg := Default()
	cfg.PerMinute = 2
	r, log := opened(t, s, cfg, &lost)
	for range 10 {
		log.Error("request", "code", "internal")
	}
	r.Close(t.Context())
	if len(s.events) != 2 || lost.Load() != 8 {
		t.Errorf("%d reported, %d lost", len(s.events), lost.Load())
	}
	cfg.PerMinute, cfg.Sample = 1000, 0.25
	r, log = opened(t, s, cfg, &lost)
	r.random = func() float64 { return 0.25 }
	log.Error("request", "code", "internal")
	r.random = func() float64 { return 0.24 }
	log.Error("request", "code", "internal")
	r.Close(t.Context())
	if len(s.events) != 3 {
		t.Errorf("%d reported, want one of two more", len(s.events))
	}
}

// A service that hangs or refuses delays nobody who logs, and a stop by its grace alone.
func TestHungSentryDelaysNeitherLogNorStop(t *testing.T) {
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}))
	defer hangs.Close()
	defer close(release)
	var lost atomic.Int64
	cfg := Default()
	cfg.PerMinute = 1000
	r, log := opened(t, &fake{Server: hangs}, cfg, &lost)
	for range 5 * queued { // a line that waits would wait for ever
		log.Error("request", "code", "internal")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	r.Close(ctx)
	if took := time.Since(begin); took >= flushTimeout {
		t.Errorf("the stop took %v after the end of its context", took)
	}
}

func TestLostReportsAreLoggedOnceAMinute(t *testing.T) {
	var text bytes.Buffer
	lost, now := 0, time.Unix(1e6, 0)
	w := &watched{now: func() time.Time { return now }, src: Source{
		Log: slog.New(slog.NewTextHandler(&text, nil)), Lost: func(_ string, items int) { lost += items },
	}}
	refuses := httptest.NewServer(http.NotFoundHandler())
	defer refuses.Close()
	w.next = http.DefaultTransport
	try := func() {
		q, err := http.NewRequestWithContext(t.Context(), "POST", refuses.URL+"/?"+hush, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := w.RoundTrip(q); err != nil || a.Body.Close() != nil {
			t.Error(err)
		}
	}
	try()
	try()
	now = now.Add(failureEvery)
	try()
	if n := strings.Count(text.String(), "404 Not Found"); n != 2 || lost != 3 || strings.Contains(text.String(),
		"hush") {
		t.Errorf("%d lines, %d lost:\n%s", n, lost, text.String())
	}
}

func TestOpenRefusesABadDSN(t *testing.T) {
	if r, err := Open(Default(), Source{}); r != nil || err != nil || r.Handler() != nil {
		t.Errorf("without a DSN: %v, %v", r, err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "noproject": "https://hush@h", "nokey": "https://h/42",
		"bad": "https://hush:%zz@h/42"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := Default()
		cfg.DSNFile = file
		if _, err := Open(cfg, Source{}); err == nil || strings.Contains(err.Error(), "hush") ||
			!strings.Contains(err.Error(), "reports.dsn_file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte("https://k@h/42"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.DSNFile = open
	if _, err := Open(cfg, Source{}); err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("a file that others can write: %v", err)
	}
}

func TestConfig(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for want, cfg := range map[string]Config{
		"reports.environment": {Sample: 1, PerMinute: 1}, "reports.sample": {Environment: "x", PerMinute: 1},
		"reports.per_minute": {Environment: "x", Sample: 1}, "not above 0": {Environment: "x", Sample: 1.5,
			PerMinute: 1},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}

func TestScrub(t *testing.T) {
	for text, want := range map[string]string{
		"read s3://key:hush@bucket/a?versionId=hush: EOF":                   "read s3://... EOF",
		"GET /" + strings.Repeat("Ab0_", 10) + "abc/w:300/x.jpg: no":        "GET /.../w:300/x.jpg: no",
		"Authorization: Bearer hush":                                        "Authorization: Bearer ...",
		"password=hush, then":                                               "password=..., then",
		"index out of range [5] with length 3 in transform/codec/container": "index out of range [5] with length 3 in transform/codec/container",
	} {
		if got := scrub(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
