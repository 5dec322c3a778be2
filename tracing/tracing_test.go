package tracing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP/HTTP collector that keeps what it is sent.
type collector struct {
	*httptest.Server
	mu   sync.Mutex
	path string
	got  map[string]*spans.Span // by name
	who  map[string]string
}

func startCollector(t *testing.T) *collector {
	c := &collector{got: map[string]*spans.Span{}, who: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var req collect.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &req); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.path = r.URL.Path
		for _, resource := range req.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				c.who[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					c.got[s.GetName()] = s
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, cfg Config, log *slog.Logger) *Tracer {
	t.Helper()
	tr, err := Open(t.Context(), cfg, "v1", "i1", log)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestSpansReachTheCollector(t *testing.T) {
	c := startCollector(t)
	tr := open(t, Config{OTLP: c.URL, Ratio: 1}, slog.New(slog.DiscardHandler))
	at := time.Unix(1000, 0)
	root := tr.Begin("root", sampled, at)
	step := root.Child("step", at.Add(time.Second))
	step.Set("host", "h")
	step.End("source_timeout", at.Add(2*time.Second))
	if p := root.Parent(); !strings.HasPrefix(p, sampled[:36]) || p == sampled || !strings.HasSuffix(p, "-01") {
		t.Errorf("others go on with %s", p)
	}
	root.Rename("request")
	root.End("", at.Add(3*time.Second))
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, s := c.got["request"], c.got["step"]
	if r == nil || s == nil || c.path != "/v1/traces" || c.who["service.name"] != "goldcrest" || c.who["service.instance.id"] != "i1" {
		t.Fatalf("got %v of %v at %s", c.got, c.who, c.path)
	}
	if !bytes.Equal(s.GetParentSpanId(), r.GetSpanId()) || !bytes.Equal(s.GetTraceId(), r.GetTraceId()) || r.GetTraceId()[0] != 0x0a || r.GetParentSpanId()[0] != 0xb7 {
		t.Errorf("the spans do not hang together: %v %v", r, s)
	}
	if s.GetStatus().GetMessage() != "source_timeout" || s.GetAttributes()[0].GetValue().GetStringValue() != "h" || s.GetEndTimeUnixNano() != 1002e9 || r.GetStatus().GetCode() != 0 {
		t.Errorf("got %v", s)
	}
}

func TestWhoIsSampled(t *testing.T) {
	for _, tt := range []struct {
		ratio  float64
		parent string
		want   bool
	}{
		{0, "", false}, {1, "", true}, {0, sampled, true}, {1, unsampled, false}, {0, "nonsense", false}, {1, "nonsense", true},
	} {
		tr := open(t, Config{OTLP: "http://127.0.0.1:1", Ratio: tt.ratio}, slog.New(slog.DiscardHandler))
		if got := tr.Begin("x", tt.parent, time.Now()) != nil; got != tt.want {
			t.Errorf("ratio %v, parent %q: recorded %v, want %v", tt.ratio, tt.parent, got, tt.want)
		}
		_ = tr.Close(t.Context())
	}
}

// A collector that is not there, and one that hangs, cost those who record nothing, and a stop a bounded time.
func TestNoCollectorHurtsNobody(t *testing.T) {
	stop := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer hangs.Close()
	defer close(stop)
	for name, url := range map[string]string{"down": "http://127.0.0.1:1", "hangs": hangs.URL} {
		t.Run(name, func(t *testing.T) {
			tr := open(t, Config{OTLP: url, Ratio: 1}, slog.New(slog.DiscardHandler))
			begin := time.Now()
			for range 20_000 { // many times the queue
				tr.Begin("x", "", time.Now()).End("", time.Now())
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("20,000 spans took %v", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begin = time.Now()
			_ = tr.Close(ctx)
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("the stop took %v", took)
			}
		})
	}
}

func TestLossesAreToldOnceAMinute(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	l := &losses{log: slog.New(slog.NewTextHandler(&b, nil)), now: func() time.Time { return now }}
	for range 100 {
		l.note(3, errors.New("no collector"))
	}
	l.Handle(errors.New("the library's own"))
	now = now.Add(lossEvery)
	l.note(1, errors.New("no collector"))
	if got := b.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "spans=3 ") || !strings.Contains(got, "spans=298 ") {
		t.Errorf("got\n%s", got)
	}
}

func TestConfig(t *testing.T) {
	for cfg, want := range map[Config]string{
		Default():                               "",
		{OTLP: "https://c.example/x", Ratio: 1}: "",
		{OTLP: "c:4318"}:                        "http or https",
		{OTLP: "ftp://c"}:                       "http or https",
		{OTLP: "http://user:hush@c"}:            "OTEL_EXPORTER_OTLP_HEADERS",
		{OTLP: "http://c?key=hush"}:             "OTEL_EXPORTER_OTLP_HEADERS",
		{Ratio: 1.5}:                            "tracing.ratio",
		{Ratio: -1}:                             "tracing.ratio",
	} {
		err := cfg.Validate()
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
	for given, want := range map[string]string{"http://c:4318": "http://c:4318/v1/traces", "http://c/": "http://c/v1/traces", "https://c/otlp": "https://c/otlp"} {
		if got := (Config{OTLP: given}).endpoint(); got != want {
			t.Errorf("%s: sent to %s, want %s", given, got, want)
		}
	}
}
