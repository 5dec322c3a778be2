package telemetry

import (
	"net/url"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config says what is sent to which collector, by OTLP over HTTP.
type Config struct {
	Tracing Tracing
	Metrics Metrics
	Logs    string // the collector for log lines; empty = none
}

// Tracing configures the export of traces.
type Tracing struct {
	// OTLP is the collector that traces are sent to by OTLP over HTTP, such as "http://collector:4318"; the default
	// path is /v1/traces. Headers for it are read from OTEL_EXPORTER_OTLP_HEADERS. Empty = nothing is traced.
	OTLP string `yaml:"otlp"`
	// Ratio is the fraction of requests that are traced, 0 to 1, chosen at random, together with the work that they
	// cause: on Data Units, callbacks.
	Ratio float64 `yaml:"ratio"`
	// Trust lets the traceparent of a request to the public listener decide whether it is traced, as it always does for
	// calls to the private one. Use it only if viewers reach the listener through a proxy that sets or removes the
	// header.
	Trust bool `yaml:"trust"`
}

// Metrics configures the export of metrics.
type Metrics struct {
	// OTLP is the collector that all metrics of /metrics are sent to by OTLP over HTTP, under the same names; the
	// default path is /v1/metrics. Headers for it are read from OTEL_EXPORTER_OTLP_HEADERS. Empty = only /metrics has
	// them.
	OTLP string `yaml:"otlp"`
	// Every is the time between two exports.
	Every time.Duration `yaml:"every"`
}

// DefaultTracing traces nothing; with a collector it traces one request in a hundred.
func DefaultTracing() Tracing { return Tracing{Ratio: 0.01} }

// DefaultMetrics sends no metrics; with a collector it sends them once a minute.
func DefaultMetrics() Metrics { return Metrics{Every: time.Minute} }

// Validate reports every invalid value. Its error does not repeat an address, which may contain a password.
func (c Config) Validate() error {
	var bad invalid.Values
	for setting, address := range map[string]string{
		"tracing.otlp": c.Tracing.OTLP, "metrics.otlp": c.Metrics.OTLP, "log.otlp": c.Logs,
	} {
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		bad.If(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https",
			"%s: is not an http or https address", setting)
		bad.If(err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != ""), "%s: contains a user, a query or "+
			"a fragment; set OTEL_EXPORTER_OTLP_HEADERS for headers that the collector requires", setting)
	}
	bad.If(!(c.Tracing.Ratio >= 0 && c.Tracing.Ratio <= 1), "tracing.ratio: %v is not from 0 to 1", c.Tracing.Ratio)
	bad.If(c.Metrics.Every < time.Second, "metrics.every: %v is less than a second", c.Metrics.Every)
	return bad.Err()
}

// endpoint is the complete address of a collector; path is the default one of the signal.
func endpoint(address, path string) string {
	u, err := url.Parse(address)
	if err != nil || u.Path != "" && u.Path != "/" {
		return address
	}
	return u.JoinPath(path).String()
}
