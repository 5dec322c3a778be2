package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

	"github.com/prometheus/client_golang/prometheus"
	logcollect "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metriccollect "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP/HTTP collector of metrics and logs that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	raw     []byte
	metrics map[string]*metrics.Metric
	logs    []*logs.LogRecord
	senders map[string]bool // instances, by path
}

func startReceiver(t *testing.T) *receiver {
	c := &receiver{metrics: map[string]*metrics.Metric{}, senders: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, body...)
		if err == nil {
			err = c.keep(r.URL.Path, body)
		}
		if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s of %s: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *receiver) keep(path string, body []byte) error {
	sender := func(r *resource.Resource) {
		for _, a := range r.GetAttributes() {
			if a.GetKey() == "service.instance.id" {
				c.senders[path+" "+a.GetValue().GetStringValue()] = true
			}
		}
	}
	switch path {
	case "/v1/metrics":
		var q metriccollect.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &q); err != nil {
			return err
		}
		for _, r := range q.GetResourceMetrics() {
			sender(r.GetResource())
			for _, scope := range r.GetScopeMetrics() {
				for _, m := range scope.GetMetrics() {
					c.metrics[m.GetName()] = m
				}
			}
		}
	case "/v1/logs":
		var q logcollect.ExportLogsServiceRequest
		if err := proto.Unmarshal(body, &q); err != nil {
			return err
		}
		for _, r := range q.GetResourceLogs() {
			sender(r.GetResource())
			for _, scope := range r.GetScopeLogs() {
				c.logs = append(c.logs, scope.GetLogRecords()...)
			}
		}
	default:
		return fmt.Errorf("%s is not a path of OTLP", path)
	}
	return nil
}

// openAt opens the exporters of metrics and logs to an address.
func openAt(t *testing.T, address string, src Source) *Telemetry {
	t.Helper()
	cfg := Config{Tracing: DefaultTracing(), Metrics: Metrics{OTLP: address, Every: time.Hour}, Logs: address}
	src.Version, src.Instance = "v1", "i1"
	if src.Lost == nil {
		src.Lost = func(signal string, items int) { t.Errorf("lost %d of %s", items, signal) }
	}
	tel, err := Open(t.Context(), cfg, src)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestMetricsKeepTheirNames(t *testing.T) {
	c := startReceiver(t)
	registry := prometheus.NewRegistry()
	hits := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "goldcrest_hits_total", Help: "Hits."},
		[]string{"tier"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "goldcrest_seconds", Help: "Time.",
		Buckets: []float64{1, 2}})
	registry.MustRegister(hits, seconds)
	hits.WithLabelValues("memory").Add(3)
	seconds.Observe(1.5)
	tel := openAt(t, c.URL, Source{Metrics: registry, Log: slog.New(slog.DiscardHandler)})
	tel.Close(t.Context())
	if got := slices.Sorted(maps.Keys(c.metrics)); !slices.Equal(got, []string{"goldcrest_hits_total",
		"goldcrest_seconds"}) {
		t.Fatalf("got %q", got)
	}
	sum := c.metrics["goldcrest_hits_total"].GetSum()
	if !sum.GetIsMonotonic() ||
		sum.GetAggregationTemporality() != metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
		t.Errorf("the counter is %v", sum)
	}
	p := sum.GetDataPoints()[0]
	if p.GetAsDouble() != 3 || p.GetAttributes()[0].GetKey() != "tier" ||
		p.GetAttributes()[0].GetValue().GetStringValue() != "memory" {
		t.Errorf("the counter's point is %v", p)
	}
	h := c.metrics["goldcrest_seconds"].GetHistogram().GetDataPoints()[0]
	if h.GetCount() != 1 || h.GetSum() != 1.5 || !slices.Equal(h.GetBucketCounts(), []uint64{0, 1, 0}) {
		t.Errorf("the histogram's point is %v", h)
	}
	if !c.senders["/v1/metrics i1"] {
		t.Errorf("sent by %v", c.senders)
	}
}

// Log lines arrive at the level of the log, with the same attributes, and without what must not leave the process.
func TestLogsAreRedacted(t *testing.T) {
	c := startReceiver(t)
	var text bytes.Buffer
	base := slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelInfo})
	tel := openAt(t, c.URL, Source{Metrics: prometheus.NewRegistry(), Log: slog.New(base)})
	log := slog.New(slog.NewMultiHandler(base, tel.Logs(base)))
	secret := "https://user:hush@h.example/a.jpg?sig=hush"
	log.Debug("not logged")
	log.With("in", secret).Warn("failed at "+secret, "status", 502, "ms", 1.5, "source", secret, "none", nil,
		"error", fmt.Errorf("get: %w", errors.New(secret)), slog.Group("g", "url", secret), "keys", []string{secret})
	tel.Close(t.Context())
	if len(c.logs) != 1 || bytes.Contains(c.raw, []byte("hush")) {
		t.Fatalf("got %v", c.logs)
	}
	l := c.logs[0]
	if l.GetBody().GetStringValue() != "failed at https://h.example/a.jpg" || l.GetSeverityText() != "WARN" ||
		l.GetTimeUnixNano() == 0 {
		t.Errorf("got %v", l)
	}
	got := map[string]string{}
	for _, a := range l.GetAttributes() {
		got[a.GetKey()] = a.GetValue().String()
	}
	for name, want := range map[string]string{"status": "502", "ms": "1.5", "source": "h.example/a.jpg",
		"error": "get: https://h.example/a.jpg",
		"g":     "h.example/a.jpg", "keys": "h.example", "in": "h.example", "none": ""} {
		if v, ok := got[name]; !ok || !strings.Contains(v, want) {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
}

// A collector that refuses costs a count and one log line.
func TestLossesAreCounted(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	defer refuses.Close()
	var mu sync.Mutex
	lost := map[string]int{}
	var text bytes.Buffer
	base := slog.NewTextHandler(&text, nil)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
	tel := openAt(t, refuses.URL, Source{Metrics: registry, Log: slog.New(base), Lost: func(signal string, items int) {
		mu.Lock()
		defer mu.Unlock()
		lost[signal] += items
	}})
	log := slog.New(tel.Logs(base))
	for range 3 {
		log.Warn("x")
	}
	tel.Close(t.Context())
	if want := map[string]int{"metrics": 1, "logs": 3}; !maps.Equal(lost, want) {
		t.Errorf("lost %v, want %v", lost, want)
	}
	if n := strings.Count(text.String(), "an OTLP collector does not accept data; it is dropped"); n != 2 {
		t.Errorf("%d lines, want one for each signal:\n%s", n, text.String())
	}
}

func TestNothingIsSentByDefault(t *testing.T) {
	tel, err := Open(t.Context(), Config{Tracing: DefaultTracing(), Metrics: DefaultMetrics()}, Source{})
	if err != nil || tel.Tracer() != nil || tel.Logs(slog.DiscardHandler) != nil || len(tel.stops) != 0 {
		t.Errorf("got %+v, %v", tel, err)
	}
	var none *Telemetry
	if none.Tracer() != nil || none.Logs(slog.DiscardHandler) != nil {
		t.Error("a nil Telemetry sends")
	}
	none.Close(context.Background())
}

func TestLossesAreLoggedOnceAMinute(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	l := &losses{log: slog.New(slog.NewTextHandler(&b, nil)), now: func() time.Time { return now }, lost: func(string,
		int) {
	}}
	for range 100 {
		l.note("traces", 3, errors.New("no collector"))
	}
	now = now.Add(lossEvery)
	l.note("traces", 1, errors.New("no collector"))
	l.Handle(errors.New("of the library"))
	if got := b.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "dropped=3 ") ||
		!strings.Contains(got, "dropped=298 ") {
		t.Errorf("got\n%s", got)
	}
}

// A collector that hangs does not keep the others from getting what is queued at a stop.
func TestHungCollectorDoesNotDelayOthersAtStop(t *testing.T) {
	sent := make(chan struct{})
	tel := &Telemetry{stops: []func(context.Context) error{
		func(ctx context.Context) error { // hangs until the other has sent
			select {
			case <-sent:
			case <-ctx.Done():
				t.Error("the second stop waits for the first")
			}
			return nil
		},
		func(context.Context) error { close(sent); return nil },
	}}
	tel.Close(t.Context())
}
