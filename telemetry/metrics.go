package telemetry

import (
	"context"

	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// openMetrics starts the regular export of the metrics.
func (t *Telemetry) openMetrics(ctx context.Context, cfg Config, with common) error {
	out, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint(cfg.Metrics.OTLP, "v1/metrics")),
		otlpmetrichttp.WithTimeout(exportTimeout), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryLongest, MaxElapsedTime: exportTimeout,
		}))
	if err != nil {
		return err
	}
	reader := metric.NewPeriodicReader(lossyMetrics{out, with.losses}, metric.WithInterval(cfg.Metrics.Every),
		metric.WithTimeout(exportTimeout),
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(with.metrics))))
	t.stops = append(t.stops, metric.NewMeterProvider(metric.WithReader(reader),
		metric.WithResource(with.resource)).Shutdown)
	return nil
}

// lossyMetrics is an exporter whose failures are only counted and logged.
type lossyMetrics struct {
	metric.Exporter
	losses *losses
}

// Export sends all metrics, or counts the export as lost.
func (l lossyMetrics) Export(ctx context.Context, all *metricdata.ResourceMetrics) error {
	if err := l.Exporter.Export(ctx, all); err != nil {
		l.losses.note("metrics", 1, err)
	}
	return nil
}
