package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/goldcrest/goldcrest/trace"
)

// Tracer is a trace.Tracer whose spans are sent to a collector. Safe for concurrent use.
type Tracer struct{ tracer api.Tracer }

var _ trace.Tracer = (*Tracer)(nil)

// openTraces makes the tracer.
func (t *Telemetry) openTraces(ctx context.Context, cfg Config, with common) error {
	out, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint(cfg.Tracing.OTLP, "v1/traces")),
		otlptracehttp.WithTimeout(exportTimeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryLongest, MaxElapsedTime: exportTimeout,
		}))
	if err != nil {
		return err
	}
	waiting := &room{signal: "traces", losses: with.losses}
	queue := sdk.NewBatchSpanProcessor(lossySpans{out, waiting}, sdk.WithExportTimeout(exportTimeout),
		sdk.WithMaxQueueSize(queued))
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(roomySpans{queue, waiting}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(cfg.Tracing.Ratio))), sdk.WithResource(with.resource))
	t.tracer = &Tracer{provider.Tracer(instrumentedBy)}
	t.stops = append(t.stops, provider.Shutdown)
	return nil
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

// lossySpans is an exporter whose failures are only counted and logged.
type lossySpans struct {
	sdk.SpanExporter
	*room
}

// ExportSpans sends spans, or counts them as lost.
func (l lossySpans) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	l.leave(len(spans))
	if err := l.SpanExporter.ExportSpans(ctx, spans); err != nil {
		l.losses.note(l.signal, len(spans), err)
	}
	return nil
}

// roomySpans is a queue that gets only the spans for which there is room.
type roomySpans struct {
	sdk.SpanProcessor
	*room
}

// OnEnd queues a span, or counts it as lost.
func (s roomySpans) OnEnd(span sdk.ReadOnlySpan) {
	if s.enter() {
		s.SpanProcessor.OnEnd(span)
	}
}
