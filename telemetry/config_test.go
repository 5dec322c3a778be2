package telemetry

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	good := Config{Tracing: DefaultTracing(), Metrics: DefaultMetrics()}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		change func(*Config)
		want   string // part of the error; "" = none
	}{
		{func(c *Config) {
			c.Tracing.OTLP, c.Metrics.OTLP, c.Logs = "https://c.example/x", "http://c:4318",
				"http://c"
		}, ""},
		{func(c *Config) { c.Tracing.OTLP = "c:4318" }, "tracing.otlp: is not an http or https address"},
		{func(c *Config) { c.Metrics.OTLP = "ftp://c" }, "metrics.otlp: is not an http or https address"},
		{func(c *Config) { c.Logs = "http://user:hush@c" }, "log.otlp: contains a user"},
		{func(c *Config) { c.Logs = "http://c?key=hush" }, "OTEL_EXPORTER_OTLP_HEADERS"},
		{func(c *Config) { c.Tracing.Ratio = 1.5 }, "tracing.ratio"},
		{func(c *Config) { c.Tracing.Ratio = -1 }, "tracing.ratio"},
		{func(c *Config) { c.Metrics.Every = time.Millisecond }, "metrics.every"},
	} {
		cfg := good
		tt.change(&cfg)
		err := cfg.Validate()
		if (tt.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), "hush")) {
			t.Errorf("%+v: %v, want %q", cfg, err, tt.want)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for given, want := range map[string]string{
		"http://c:4318": "http://c:4318/v1/logs", "http://c/": "http://c/v1/logs", "https://c/otlp": "https://c/otlp",
	} {
		if got := endpoint(given, "v1/logs"); got != want {
			t.Errorf("%s: sent to %s, want %s", given, got, want)
		}
	}
}
