// Package api is the API for backends and operators: JSON calls that sign and explain URLs, post Data Units, query
// jobs, purge, and report on the instance. Every call needs a token with the scope for it.
package api

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// Config is the configuration of an API.
type Config struct {
	PublicURL  string        // prefix of signed URLs
	PathPrefix string        // precedes every image path and is not signed
	Deadline   time.Duration // of one variant that explain makes
}

// Images returns stored variants. Implemented by pipeline.Pipeline.
type Images interface {
	// Peek returns a variant only if memory or the store has it; not_cached otherwise.
	Peek(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
}

// Deps is what an API calls.
type Deps struct {
	Images Images
	// Warm makes the missing variants of one source, after all viewers. nil = explain cannot run.
	Warm func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	// Prewarm is the prewarm service. nil = this instance has none, and no routes for it.
	Prewarm     Prewarm
	Predecessor Predecessor // nil = its call does not exist
	// Purge removes variants on every instance. nil = no purge.
	Purge    func(ctx context.Context, what pipeline.Selector) (int, error)
	Overview *Overview // nil = none
}

// API handles the calls. Safe for concurrent use.
type API struct {
	*exchange.Responder
	cfg    Config
	deps   Deps
	access *access.Access

	stopping context.Context // ends when the private listener does, and with it waiting requests
	stop     context.CancelFunc
}

// New makes an API.
func New(cfg Config, r *exchange.Responder, a *access.Access, deps Deps) *API {
	s := &API{Responder: r, cfg: cfg, deps: deps, access: a}
	s.stopping, s.stop = context.WithCancel(context.Background())
	return s
}

// Stop ends requests that only wait.
func (s *API) Stop() { s.stop() }

// untilStop is ctx that also ends when the server stops, for requests that only wait.
func (s *API) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// need admits only callers with one of the scopes.
func (s *API) need(scopes ...string) echo.MiddlewareFunc { return exchange.Need(s.access, scopes...) }

// spare refuses calls that create later work while memory is short.
func (s *API) spare(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.State.Short(pressure.CacheOnly); err != nil {
			return err
		}
		return next(c)
	}
}

// Route registers the routes.
func (s *API) Route(e *echo.Echo) {
	e.POST("/v1/sign", s.sign, s.need(access.ScopeSign), query())
	e.GET("/v1/explain/*", s.explain, s.need(access.ScopeExplain))
	if s.deps.Purge != nil {
		e.POST("/v1/purge", s.purge, s.need(access.ScopePurge, access.ScopeAdmin), query())
	}
	if s.deps.Overview != nil {
		e.GET("/v1/stats", s.stats, s.need(access.ScopeAdmin, access.ScopeExplain), query())
		e.GET("/v1/history", s.history, s.need(access.ScopeAdmin, access.ScopeExplain), query("since"))
		e.GET("/v1/config", s.config, s.need(access.ScopeAdmin), query())
		e.GET("/v1/intakes", s.listIntakes, s.need(access.ScopeAdmin), query())
		e.POST("/v1/intakes/:name/pause", s.pauseIntake(true), s.need(access.ScopeAdmin), query())
		e.POST("/v1/intakes/:name/resume", s.pauseIntake(false), s.need(access.ScopeAdmin), query())
	}
	if s.deps.Predecessor != nil {
		e.POST("/v1/compat/lambda", s.compat, s.need(access.ScopeCompat), s.spare)
	}
	if s.deps.Prewarm == nil {
		return
	}
	e.POST("/v1/prewarm", s.prewarmCall, s.need(access.ScopePrewarm), s.spare)
	see := s.need(access.ScopePrewarm, access.ScopeAdmin)
	e.GET("/v1/jobs", s.listJobs, see, query("limit", "cursor"))
	e.GET("/v1/jobs/:id", s.job, see, query("wait"), s.owned)
	e.DELETE("/v1/jobs/:id", s.cancelJob, see, query(), s.owned)
	e.GET("/v1/jobs/:id/results", s.jobResults, see, query("state", "limit", "cursor"), s.owned)
	e.GET("/v1/jobs/:id/events", s.jobEvents, see, query(), s.owned)
	e.POST("/v1/jobs/:id/retry", s.retryJob, see, query(), s.owned)
	e.GET("/v1/broken", s.broken, s.need(access.ScopePrewarm, access.ScopeCheck, access.ScopeAdmin), query("since", "limit"))
	e.POST("/v1/events/s3", s.bucketEvents, basicAsBearer, s.need(access.ScopeEvents), query(), s.spare)
	e.GET("/v1/usage", s.usage, s.need(access.ScopePrewarm, access.ScopeCompat, access.ScopeAdmin), query("days", "owner"))
	e.POST("/v1/check", s.check, s.need(access.ScopeCheck))
}
