package tracing

import (
	"net/url"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config configures the export of traces.
type Config struct {
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

// Default traces nothing; with a collector it traces one request in a hundred.
func Default() Config { return Config{Ratio: 0.01} }

// Validate reports every invalid value. Its error does not repeat the address, which may contain a password.
func (c Config) Validate() error {
	var bad invalid.Values
	if c.OTLP != "" {
		u, err := url.Parse(c.OTLP)
		bad.If(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https",
			"tracing.otlp: is not an http or https address")
		bad.If(err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != ""), "tracing.otlp: holds a user, "+
			"a query or a fragment; what the collector wants to know goes into OTEL_EXPORTER_OTLP_HEADERS")
	}
	bad.If(!(c.Ratio >= 0 && c.Ratio <= 1), "tracing.ratio: %v is not from 0 to 1", c.Ratio)
	return bad.Err()
}

// endpoint is the complete address.
func (c Config) endpoint() string {
	u, err := url.Parse(c.OTLP)
	if err != nil || u.Path != "" && u.Path != "/" {
		return c.OTLP
	}
	return u.JoinPath("v1/traces").String()
}
