package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
)

// collector is an OTLP/HTTP collector that keeps the spans it receives.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
	raw   []byte
	rest  map[string][]byte // of the other signals, by path
}

func startCollector(t *testing.T) *collector {
	c := &collector{rest: map[string][]byte{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1/logs" || r.URL.Path == "/v1/metrics" {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.rest[r.URL.Path] = append(c.rest[r.URL.Path], body...)
			return
		}
		var req collect.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, body...)
		for _, resource := range req.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// tree returns a span and all spans below it, each as the path of names to it.
func (c *collector) tree(root string) (paths []string, trace string) {
	var below func(prefix string, id []byte)
	below = func(prefix string, id []byte) {
		for _, s := range c.spans {
			if bytes.Equal(s.GetParentSpanId(), id) {
				path := prefix + "/" + s.GetName()
				paths = append(paths, path)
				below(path, s.GetSpanId())
			}
		}
	}
	for _, s := range c.spans {
		if s.GetName() == root {
			below("", s.GetSpanId())
			trace = hex.EncodeToString(s.GetTraceId())
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), trace
}

// tracedApp is a whole server, without its listeners, that sends all its traces to c.
func tracedApp(t *testing.T, c *collector) (a *App, stop func()) {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Cache.Store.Dir.Dir, cfg.Prewarm.Queue.Dir = dir+"/store", dir+"/queue"
	cfg.Cache.Store.Dir.MinFree = 0
	cfg.Transform.Workers = 1
	cfg.Origin.AllowPrivate = []string{"127.0.0.0/8"}
	cfg.Signing.Keys = []signing.Key{{Key: strings.Repeat("5a", 32)}}
	cfg.API.Tokens = []access.Token{{Name: "backend", Token: "hush-hush-hush-hush", Scopes: []string{access.ScopePrewarm}}}
	cfg.Presets = map[string]string{"lite": "w:20/f:webp"}
	cfg.Tracing.OTLP, cfg.Tracing.Ratio, cfg.Metrics.OTLP, cfg.Log.OTLP = c.URL, 1, c.URL, c.URL
	a, err := Open(t.Context(), "dev", cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	wait := a.work(ctx)
	stop = sync.OnceFunc(func() {
		cancel()
		wait()
		drain, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Close(drain); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return a, stop
}

// post makes an API call and decodes its response.
func post(t *testing.T, a *App, path, body string, into any) *http.Response {
	t.Helper()
	r := httptest.NewRequest("POST", "http://localhost:8081"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer hush-hush-hush-hush")
	r.Header.Set("Prefer", "wait=30")
	w := httptest.NewRecorder()
	a.server.Private().ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return w.Result()
}

// A GET is one trace through all phases, and so is a call with Data Units, across the queue to each unit's pictures. A
// stop sends the spans that exist. No trace contains a secret.
func TestTracesFollowRefAndUnits(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(picture.Bytes()) }))
	defer origin.Close()
	c := startCollector(t)
	a, stop := tracedApp(t, c)

	url, err := a.sign("", origin.URL+"/hush/1.png?token=hush", "w:30/f:webp", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	path := strings.TrimPrefix(url, a.cfg.Server.BaseURL)
	a.server.Public().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/webp" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var answer struct{ Counts map[string]int }
	body := fmt.Sprintf(`{"variants":["lite"],"data_units":[{"id":"hush1","data":{"url":%q}},{"id":"hush2","data":{"url":%q}}]}`,
		origin.URL+"/a.png?token=hush", origin.URL+"/b.png?token=hush")
	if post(t, a, "/v1/prewarm", body, &answer); answer.Counts["made"] != 2 {
		t.Fatalf("counts %v", answer.Counts)
	}
	stop()

	got, get := c.tree("GET image")
	want := []string{"/deliver", "/fetch", "/lookup", "/negotiate", "/parse", "/queue", "/store", "/transform", "/verify"}
	if !slices.Equal(got, want) {
		t.Errorf("the GET's trace has %q, want %q", got, want)
	}
	got, call := c.tree("POST /v1/prewarm")
	want = []string{"/task", "/task/image", "/task/image/fetch", "/task/image/lookup", "/task/image/queue", "/task/image/store", "/task/image/transform"}
	if !slices.Equal(got, want) {
		t.Errorf("the call's trace has %q, want %q", got, want)
	}
	traces := map[string]int{}
	units := map[string]bool{}
	for _, s := range c.spans {
		traces[hex.EncodeToString(s.GetTraceId())]++
		for _, at := range s.GetAttributes() {
			if s.GetName() == "image" && at.GetKey() == "unit" {
				units[at.GetValue().GetStringValue()] = true
			}
		}
	}
	if len(traces) != 2 || traces[get] == 0 || traces[call] == 0 || len(units) != 2 {
		t.Errorf("spans by trace: %v, units %v; want two traces, two units", traces, slices.Sorted(maps.Keys(units)))
	}
	if bytes.Contains(c.raw, []byte("hush")) || bytes.Contains(c.raw, []byte(strings.Split(path, "/")[1])) {
		t.Error("something secret is in the traces")
	}
	for path, want := range map[string]string{"/v1/metrics": "goldcrest_requests_total", "/v1/logs": "source_host"} {
		if got := c.rest[path]; !bytes.Contains(got, []byte(want)) || bytes.Contains(got, []byte("hush")) {
			t.Errorf("%d bytes at %s: without %s, or with something secret", len(got), path, want)
		}
	}
}
