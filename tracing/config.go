package tracing

import (
	"fmt"
	"net/url"
)

// Config is where traces go, and of what.
type Config struct {
	// OTLP is the collector that traces are sent to by OTLP over HTTP, such as "http://collector:4318"; without a path
	// /v1/traces is meant. Headers that it wants are read from OTEL_EXPORTER_OTLP_HEADERS. Empty = nothing is traced.
	OTLP string `yaml:"otlp"`
	// Ratio is the share of requests that is traced, 0 to 1, chosen by chance; with what comes of them: the work on
	// Data Units, callbacks.
	Ratio float64 `yaml:"ratio"`
	// Trust lets the traceparent of a request to the public listener decide whether it is traced, as that of a call to
	// the private one always does. Only for a listener that viewers reach through a proxy which sets or removes the
	// header.
	Trust bool `yaml:"trust"`
}

// Default traces nothing and, once there is a collector, one request in a hundred.
func Default() Config { return Config{Ratio: 0.01} }

// Validate reports what cannot work. Its error does not repeat the address, which may hold a password.
func (c Config) Validate() error {
	if c.OTLP != "" {
		u, err := url.Parse(c.OTLP)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return fmt.Errorf("tracing.otlp: is not an http or https address")
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("tracing.otlp: holds a user, a query or a fragment; what the collector wants to know goes into OTEL_EXPORTER_OTLP_HEADERS")
		}
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		return fmt.Errorf("tracing.ratio: %v is not from 0 to 1", c.Ratio)
	}
	return nil
}

// endpoint is the whole address.
func (c Config) endpoint() string {
	u, err := url.Parse(c.OTLP)
	if err != nil || u.Path != "" && u.Path != "/" {
		return c.OTLP
	}
	return u.JoinPath("v1/traces").String()
}
