// Package exchange is one request and its answer, whatever the door: the log line, the shared headers, the problem
// document of a failure, the trace. Handlers return an error or write an answer; everything else is here.
package exchange

import (
	"log/slog"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/trace"
)

// Meter counts answers. Implemented by metrics.Metrics.
type Meter interface {
	Request(r metrics.Request)
}

// Config is what a Responder is told.
type Config struct {
	MaxURL      int64    // the longest request target, in bytes
	CORS        []string // origins whose scripts may read answers; "*" = all
	Log         *slog.Logger
	Meter       Meter // nil = none
	Now         func() time.Time
	Tracer      trace.Tracer // nil = nothing is traced
	TrustTraces bool         // viewers' requests say themselves whether they are traced
	State       *State
}

// Responder gives every request its Call, and every failure its answer. Safe for concurrent use.
type Responder struct {
	Config
	byOrigin bool
	troubles troubles
}

// New makes a Responder.
func New(cfg Config) *Responder {
	return &Responder{Config: cfg, byOrigin: len(cfg.CORS) > 0 && !slices.Contains(cfg.CORS, "*")}
}

// ByOrigin reports whether answers differ by the header Origin, even where a request has none.
func (s *Responder) ByOrigin() bool { return s.byOrigin }

// Troubles are the error answers that viewers got lately, by code and host.
func (s *Responder) Troubles(now time.Time) []Trouble { return s.troubles.list(now) }
