// Package exchange is one request and its response, on both listeners: log line, shared headers, problem document,
// trace. Handlers return an error or write a response; everything else is here.
package exchange

import (
	"log/slog"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/trace"
)

// Meter counts responses. Implemented by metrics.Metrics.
type Meter interface {
	Request(r metrics.Request)
}

// Config is the configuration of a Responder.
type Config struct {
	MaxURL      int64    // the longest request target, in bytes
	CORS        []string // origins whose scripts may read responses; "*" = all
	Log         *slog.Logger
	Meter       Meter // nil = none
	Now         func() time.Time
	Tracer      trace.Tracer // nil = nothing is traced
	TrustTraces bool         // viewers' requests decide whether they are traced
	State       *State
}

// Responder makes a Call for every request, and a response for every failure. Safe for concurrent use.
type Responder struct {
	Config
	byOrigin bool
	troubles troubles
}

// New makes a Responder.
func New(cfg Config) *Responder {
	return &Responder{Config: cfg, byOrigin: len(cfg.CORS) > 0 && !slices.Contains(cfg.CORS, "*")}
}

// ByOrigin reports whether responses differ by the header Origin, even if a request has none.
func (s *Responder) ByOrigin() bool { return s.byOrigin }

// Troubles are the recent error responses to viewers, by code and host.
func (s *Responder) Troubles(now time.Time) []Trouble { return s.troubles.list(now) }
