package telemetry

import (
	"bytes"
	"context"
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
	mu    sync.Mutex
	path  string
	count int                    // of spans
	got   map[string]*spans.Span // by name
	who   map[string]string
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
					c.count++
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// open opens an exporter of traces whose losses are logged to log.
func open(t *testing.T, cfg Tracing, log *slog.Logger) *Telemetry {
	t.Helper()
	tel, err := Open(t.Context(), Config{Tracing: cfg, Metrics: DefaultMetrics()}, Source{
		Version: "v1", Instance: "i1", Log: log, Lost: func(string, int) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestSpansReachTheCollector(t *testing.T) {
	c := startCollector(t)
	tel := open(t, Tracing{OTLP: c.URL, Ratio: 1}, slog.New(slog.DiscardHandler))
	tr := tel.Tracer()
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
	tel.Close(t.Context())
	r, s := c.got["request"], c.got["step"]
	if r == nil || s == nil || c.path != "/v1/traces" || c.who["service.name"] != "goldcrest" ||
		c.who["service.instance.id"] != "i1" {
		t.Fatalf("got %v of %v at %s", c.got, c.who, c.path)
	}
	if !bytes.Equal(s.GetParentSpanId(), r.GetSpanId()) || !bytes.Equal(s.GetTraceId(), r.GetTraceId()) ||
		r.GetTraceId()[0] != 0x0a || r.GetParentSpanId()[0] != 0xb7 {
		t.Errorf("the spans do not hang together: %v %v", r, s)
	}
	if s.GetStatus().GetMessage() != "source_timeout" || s.GetAttributes()[0].GetValue().GetStringValue() != "h" ||
		s.GetEndTimeUnixNano() != 1002e9 || r.GetStatus().GetCode() != 0 {
		t.Errorf("got %v", s)
	}
}

func TestWhoIsSampled(t *testing.T) {
	for _, tt := range []struct {
		ratio  float64
		parent string
		want   bool
	}{
		{0, "", false}, {1, "", true}, {0, sampled, true}, {1, unsampled, false}, {0, "nonsense", false}, {1,
			"nonsense", true},
	} {
		tr := open(t, Tracing{OTLP: "http://127.0.0.1:1", Ratio: tt.ratio}, slog.New(slog.DiscardHandler))
		if got := tr.Tracer().Begin("x", tt.parent, time.Now()) != nil; got != tt.want {
			t.Errorf("ratio %v, parent %q: recorded %v, want %v", tt.ratio, tt.parent, got, tt.want)
		}
		tr.Close(t.Context())
	}
}

// A collector that is not there, and one that hangs, cost those who record nothing, and a stop a bounded time.
func TestMissingOrHungCollectorCostsNothing(t *testing.T) {
	stop := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer hangs.Close()
	defer close(stop)
	for name, url := range map[string]string{"down": "http://127.0.0.1:1", "hangs": hangs.URL} {
		t.Run(name, func(t *testing.T) {
			tr := open(t, Tracing{OTLP: url, Ratio: 1}, slog.New(slog.DiscardHandler))
			begin := time.Now()
			for range 10_000 { // several times the queue: waiting for exports would take minutes
				tr.Tracer().Begin("x", "", time.Now()).End("", time.Now())
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("10,000 spans took %v", took)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			begin = time.Now()
			tr.Close(ctx)
			if took := time.Since(begin); took >= flushTimeout {
				t.Errorf("the stop took %v after the end of its context", took)
			}
		})
	}
}
