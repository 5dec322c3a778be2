// Package telemetry sends traces, metrics and log lines to OpenTelemetry collectors by OTLP. Everything is sent in the
// background from bounded queues; what a collector does not accept is dropped, and no caller waits for it.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/goldcrest/goldcrest/trace"
)

// The limits of exports: one export with its retries, and the wait for collectors at a stop.
const (
	exportTimeout  = 10 * time.Second
	retryFirst     = time.Second
	retryLongest   = 4 * time.Second
	flushTimeout   = 5 * time.Second
	instrumentedBy = "github.com/goldcrest/goldcrest"
)

// Source is what is sent, and by which instance.
type Source struct {
	Version, Instance string
	Metrics           prometheus.Gatherer
	Log               *slog.Logger                   // gets at most one line a minute while data is lost
	Lost              func(signal string, items int) // counts lost traces (spans), metrics (exports) and logs (lines)
}

// common is what the exporters share.
type common struct {
	resource *resource.Resource
	losses   *losses
	metrics  prometheus.Gatherer
}

// Telemetry is what is sent to collectors. A nil Telemetry sends nothing. Safe for concurrent use.
type Telemetry struct {
	tracer *Tracer      // nil = nothing is traced
	logs   slog.Handler // nil = no log line is sent
	stops  []func(context.Context) error
}

// Open makes the exporters for those collectors that cfg names; they need not be up.
func Open(ctx context.Context, cfg Config, src Source) (*Telemetry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Telemetry{}
	res := resource.NewSchemaless(attribute.String("service.name", "goldcrest"),
		attribute.String("service.version", src.Version), attribute.String("service.instance.id", src.Instance))
	with := common{res, &losses{log: src.Log, lost: src.Lost, now: time.Now}, src.Metrics}
	otel.SetErrorHandler(with.losses) // the library would write errors to stderr in its own format
	for _, part := range []struct {
		setting, address string
		open             func(context.Context, Config, common) error
	}{
		{"tracing.otlp", cfg.Tracing.OTLP, t.openTraces},
		{"metrics.otlp", cfg.Metrics.OTLP, t.openMetrics},
		{"log.otlp", cfg.Logs, t.openLogs},
	} {
		if part.address == "" {
			continue
		}
		if err := part.open(ctx, cfg, with); err != nil {
			return nil, fmt.Errorf("%s: %w", part.setting, err)
		}
	}
	return t, nil
}

// Tracer records traces; nil = nothing is traced.
func (t *Telemetry) Tracer() trace.Tracer {
	if t == nil || t.tracer == nil {
		return nil // a nil pointer in an interface would not be nil
	}
	return t.tracer
}

// Logs is the handler that sends the lines which base writes; nil = no line is sent.
func (t *Telemetry) Logs(base slog.Handler) slog.Handler {
	if t == nil || t.logs == nil {
		return nil
	}
	return redacting{t.logs, base}
}

// Close sends what is queued, as far as the collectors accept it within flushTimeout and before ctx ends. What comes
// later is dropped.
func (t *Telemetry) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, stop := range t.stops { // at once: a collector that hangs must not take the time of the others
		all.Go(func() { _ = stop(ctx) }) // losses has counted what was lost
	}
	all.Wait()
}
