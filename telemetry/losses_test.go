package telemetry

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A collector that hangs while the queues run full: each span and line is then sent or counted, and one log line a
// signal tells of it.
func TestSpansAndLinesLostToAFullQueueAreCounted(t *testing.T) {
	const items = 3 * queued
	lines, spans := startReceiver(t), startCollector(t)
	open := make(chan struct{})
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-open
		if strings.HasSuffix(r.URL.Path, "/traces") {
			spans.Config.Handler.ServeHTTP(w, r)
		} else {
			lines.Config.Handler.ServeHTTP(w, r)
		}
	}))
	defer gate.Close()
	var mu sync.Mutex
	lost := map[string]int{}
	var text bytes.Buffer
	base := slog.NewTextHandler(&text, nil)
	tel, err := Open(t.Context(), Config{Tracing: Tracing{OTLP: gate.URL, Ratio: 1}, Metrics: DefaultMetrics(),
		Logs: gate.URL}, Source{Metrics: prometheus.NewRegistry(), Log: slog.New(base),
		Lost: func(signal string, items int) {
			mu.Lock()
			defer mu.Unlock()
			lost[signal] += items
		}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(tel.Logs(base))
	for range items {
		log.Warn("x")
		tel.Tracer().Begin("x", "", time.Now()).End("", time.Now())
	}
	close(open)
	tel.Close(t.Context())
	for signal, sent := range map[string]int{"logs": len(lines.logs), "traces": spans.count} {
		if lost[signal] == 0 || sent < queued || sent+lost[signal] != items {
			t.Errorf("%s: %d of %d are sent, and %d lost", signal, sent, items, lost[signal])
		}
	}
	if n := strings.Count(text.String(), errFull.Error()); n != 2 {
		t.Errorf("%d lines, want one for each signal:\n%s", n, text.String())
	}
}
