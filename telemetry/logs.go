package telemetry

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdk "go.opentelemetry.io/otel/sdk/log"

	"github.com/goldcrest/goldcrest/fault"
)

// openLogs makes the handler of log lines.
func (t *Telemetry) openLogs(ctx context.Context, cfg Config, with common) error {
	out, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(endpoint(cfg.Logs, "v1/logs")),
		otlploghttp.WithTimeout(exportTimeout), otlploghttp.WithRetry(otlploghttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryLongest, MaxElapsedTime: exportTimeout,
		}))
	if err != nil {
		return err
	}
	waiting := &room{signal: "logs", losses: with.losses}
	queue := sdk.NewBatchProcessor(lossyLogs{out, waiting}, sdk.WithExportTimeout(exportTimeout),
		sdk.WithMaxQueueSize(queued))
	provider := sdk.NewLoggerProvider(sdk.WithResource(with.resource), sdk.WithProcessor(roomyLogs{queue, waiting}))
	t.logs = otelslog.NewHandler(instrumentedBy, otelslog.WithLoggerProvider(provider))
	t.stops = append(t.stops, provider.Shutdown)
	return nil
}

// lossyLogs is an exporter whose failures are only counted and logged.
type lossyLogs struct {
	sdk.Exporter
	*room
}

// Export sends log lines, or counts them as lost.
func (l lossyLogs) Export(ctx context.Context, lines []sdk.Record) error {
	l.leave(len(lines))
	if err := l.Exporter.Export(ctx, lines); err != nil {
		l.losses.note(l.signal, len(lines), err)
	}
	return nil
}

// roomyLogs is a queue that gets only the lines for which there is room.
type roomyLogs struct {
	sdk.Processor
	*room
}

// OnEmit queues a line, or counts it as lost.
func (l roomyLogs) OnEmit(ctx context.Context, line *sdk.Record) error {
	if !l.enter() {
		return nil
	}
	return l.Processor.OnEmit(ctx, line)
}

// redacting passes on the lines that base writes, and removes user information and queries from the URLs in them. What
// logs a line has done so already; a text that leaves the machine is checked once more.
type redacting struct {
	slog.Handler
	base slog.Handler
}

// Enabled implements slog.Handler.
func (h redacting) Enabled(ctx context.Context, level slog.Level) bool {
	return h.base.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h redacting) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, fault.Redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(redacted(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = redacted(a)
	}
	return redacting{h.Handler.WithAttrs(out), h.base}
}

// WithGroup implements slog.Handler.
func (h redacting) WithGroup(name string) slog.Handler {
	return redacting{h.Handler.WithGroup(name), h.base}
}

// redacted is an attribute whose texts are redacted; a value that is not of a basic type becomes a text.
func redacted(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindGroup:
		out := make([]slog.Attr, len(v.Group()))
		for i, member := range v.Group() {
			out[i] = redacted(member)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(out...)}
	case slog.KindString:
		return slog.String(a.Key, fault.Redact(v.String()))
	case slog.KindAny:
		if v.Any() == nil {
			return slog.String(a.Key, "")
		}
		return slog.String(a.Key, fault.Redact(fmt.Sprint(v.Any())))
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}
