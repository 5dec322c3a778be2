// Package tracing records traces with OpenTelemetry and sends them to a collector by OTLP.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/goldcrest/goldcrest/trace"
)

// exportTimeout limits one export, with its retries.
const exportTimeout = 10 * time.Second

// Tracer is a trace.Tracer whose spans are sent in the background, from a bounded queue. Spans are dropped if the queue
// is full or the collector does not respond; no caller waits for it. Safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   api.Tracer
}

var _ trace.Tracer = (*Tracer)(nil)

// Open makes a Tracer for a configuration that names a collector, which need not be up. version and instance identify
// the sender. log gets at most one line a minute while spans are lost.
func Open(ctx context.Context, cfg Config, version, instance string, log *slog.Logger) (*Tracer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	out, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(cfg.endpoint()), otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 4 * time.Second, MaxElapsedTime: exportTimeout}))
	if err != nil {
		return nil, fmt.Errorf("tracing.otlp: %w", err)
	}
	losses := &losses{log: log, now: time.Now}
	otel.SetErrorHandler(losses) // the library would write errors to stderr in its own format
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(lossy{out, losses}, sdk.WithExportTimeout(exportTimeout)),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(cfg.Ratio))),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "goldcrest"), attribute.String("service.version", version), attribute.String("service.instance.id", instance))),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/goldcrest/goldcrest")}, nil
}

// flushTimeout is how long a stop waits for the collector.
const flushTimeout = 5 * time.Second

// Close sends the queued spans, as far as the collector accepts them within flushTimeout and before ctx ends. Spans
// that end later are dropped.
func (t *Tracer) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// parentHeader is the header of W3C Trace Context with the parent.
const parentHeader = "traceparent"

// Begin implements trace.Tracer.
func (t *Tracer) Begin(name, parent string, at time.Time) trace.Recorder {
	ctx := context.Background()
	if parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{parentHeader: parent})
	}
	ctx, span := t.tracer.Start(ctx, name, api.WithTimestamp(at), api.WithSpanKind(api.SpanKindServer))
	if !span.IsRecording() {
		return nil
	}
	return recorder{t.tracer, ctx, span}
}

// recorder is one span. ctx is the parent of its children's contexts; it is not the context of a call.
type recorder struct {
	tracer api.Tracer
	ctx    context.Context //nolint:containedctx // the library takes a span's parent from a context alone
	span   api.Span
}

// Child implements trace.Recorder.
func (r recorder) Child(name string, at time.Time) trace.Recorder {
	ctx, span := r.tracer.Start(r.ctx, name, api.WithTimestamp(at))
	return recorder{r.tracer, ctx, span}
}

// Rename implements trace.Recorder.
func (r recorder) Rename(name string) { r.span.SetName(name) }

// Set implements trace.Recorder.
func (r recorder) Set(name, value string) { r.span.SetAttributes(attribute.String(name, value)) }

// End implements trace.Recorder.
func (r recorder) End(kind string, at time.Time) {
	if kind != "" {
		r.span.SetStatus(codes.Error, kind)
	}
	r.span.End(api.WithTimestamp(at))
}

// Parent implements trace.Recorder.
func (r recorder) Parent() string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(r.ctx, carrier)
	return carrier[parentHeader]
}

// lossy is an exporter whose failures are only logged.
type lossy struct {
	sdk.SpanExporter
	losses *losses
}

// ExportSpans sends spans, or counts them as lost.
func (l lossy) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := l.SpanExporter.ExportSpans(ctx, spans); err != nil {
		l.losses.note(len(spans), err)
	}
	return nil
}

// lossEvery is the minimum time between two log lines about losses.
const lossEvery = time.Minute

// losses logs lost spans, at most once a minute. Safe for concurrent use.
type losses struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	told  time.Time
	spans int // not logged yet
}

// Handle implements otel.ErrorHandler.
func (l *losses) Handle(err error) { l.note(0, err) }

func (l *losses) note(spans int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spans += spans
	now := l.now()
	if !l.told.IsZero() && now.Sub(l.told) < lossEvery {
		return
	}
	l.log.Warn("traces do not reach the collector (tracing.otlp); they are dropped", "spans", l.spans, "error", err)
	l.told, l.spans = now, 0
}
