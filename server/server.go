// Package server is the HTTP front: two listeners with their deadlines and limits, and their start and stop.
// server/image handles the public one; server/api and server/console the private one.
package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/api"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/image"
	"github.com/goldcrest/goldcrest/server/wire"
	"github.com/goldcrest/goldcrest/trace"
)

// Meter counts responses. Implemented by metrics.Metrics.
type Meter interface {
	exchange.Meter
	access.Meter
	// ConnectionClosed counts a connection closed because of a limit: connections or connections_per_address.
	ConnectionClosed(bound string)
}

// Deps is what a Server calls.
type Deps struct {
	api.Deps                             // of the API
	Images   image.Images                // for viewers
	Check    func(context.Context) error // whether workers make progress, before the context ends; nil = there are none
	About    func() map[string]string    // more facts for /healthz; nil = none
	Started  func() bool                 // false while requests should not be sent here yet; nil = they may
	Metrics  http.Handler                // nil = no /metrics
	Meter    Meter                       // nil = none
	Log      *slog.Logger                // nil = no log
	Tracer   trace.Tracer                // nil = nothing is traced
	Now      func() time.Time            // nil = time.Now
	Pressure func() pressure.Step        // how short memory is; nil = never

	NoImages    bool // the public listener serves only /health
	TrustTraces bool // viewers' requests decide whether they are traced
}

// Server is the two listeners: the public one serves images, the private one everything else. Safe for concurrent use.
type Server struct {
	cfg       Config
	deps      Deps
	state     *exchange.State
	access    *access.Access
	responder *exchange.Responder
	images    *image.Door
	api       *api.API
	public    *echo.Echo
	private   *echo.Echo

	publicCrowd, adminCrowd *crowd
}

// New makes a Server. It opens nothing; see Listen.
func New(cfg Config, deps Deps, r access.Rules) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	deps.Deps.Images = deps.Images
	state := &exchange.State{Pressure: deps.Pressure, Started: deps.Started}
	s := &Server{cfg: cfg, deps: deps, state: state, access: access.New(deps.Now, deps.Meter)}
	s.responder = exchange.New(exchange.Config{
		MaxURL: cfg.MaxURL, CORS: cfg.CORS, Log: deps.Log, Meter: deps.Meter, Now: deps.Now, Tracer: deps.Tracer, TrustTraces: deps.TrustTraces,
		State: s.state,
	})
	s.images = image.New(image.Config{PathPrefix: cfg.PathPrefix, Deadline: cfg.Deadline, Debug: cfg.DebugHeaders}, s.responder, s.access, deps.Images)
	s.api = api.New(
		api.Config{PublicURL: cfg.PublicURL(), PathPrefix: cfg.PathPrefix, Deadline: cfg.Deadline}, s.responder, s.access, deps.Deps)
	if err := s.Reload(r); err != nil {
		return nil, err
	}
	s.public = newEcho(s.responder.Observe(exchange.Public))
	s.public.GET("/health", s.health)
	s.public.HEAD("/health", s.health)
	if !deps.NoImages {
		s.public.GET("/*", s.images.Serve)
		s.public.HEAD("/*", s.images.Serve)
		s.public.OPTIONS("/*", s.images.Preflight)
	}
	s.private = newEcho(s.paceBody, s.responder.Observe(exchange.Private), s.checkHost, probeOnly)
	s.routePrivate(s.private)
	return s, nil
}

// newEcho makes a router whose every response, its own 404 and 405 included, passes through the steps.
func newEcho(steps ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.Pre(steps...)
	return e
}

// Reload replaces the rules for requests that begin from now on. On an error the old ones stay.
func (s *Server) Reload(r access.Rules) error {
	current, err := s.access.Reload(r)
	if err != nil {
		return err
	}
	s.images.Reload(current)
	return nil
}

// Public is the handler behind the public listener.
func (s *Server) Public() http.Handler { return http.HandlerFunc(s.servePublic) }

// servePublic serves known URLs from memory. Everything else goes through the router.
func (s *Server) servePublic(w http.ResponseWriter, r *http.Request) {
	if hasBody(r) { // no request for a picture has one
		dropBody(w)
		defer s.finish(s.publicCrowd, r)
	}
	if s.responder.Tracer != nil {
		r = s.responder.Traced(r, exchange.Public)
	}
	if !s.images.Hit(w, r) {
		s.public.ServeHTTP(w, r)
	}
}

// Private is the handler behind the private listener.
func (s *Server) Private() http.Handler { return http.HandlerFunc(s.servePrivate) }

func (s *Server) servePrivate(w http.ResponseWriter, r *http.Request) {
	if c := wire.Of(r); c != nil && s.adminCrowd.isAside(c) {
		defer s.finish(s.adminCrowd, r)
		w.Header().Set("Connection", "close")
		r = r.WithContext(context.WithValue(r.Context(), asideKey{}, true))
	}
	if s.responder.Tracer != nil {
		r = s.responder.Traced(r, exchange.Private)
	}
	s.private.ServeHTTP(w, r)
}

// Listen opens both listeners, so that their addresses are known before Serve.
func (s *Server) Listen() error {
	public, err := s.listen("public", s.cfg.Listen)
	if err != nil {
		return err
	}
	admin, err := s.listen("private", s.cfg.Admin)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	bound := connectionBound(s.cfg.Connections)
	s.publicCrowd = newCrowd(wire.Listener{Listener: public, Patience: wire.Patience}, crowdRules{
		bound: bound, perAddress: s.cfg.perAddress(bound), trusted: s.cfg.trusted(), meter: s.deps.Meter,
	})
	s.adminCrowd = newCrowd(wire.Listener{Listener: admin, Patience: wire.Patience}, crowdRules{
		bound: min(bound, adminConnections), aside: probeConnections, meter: s.deps.Meter,
	})
	return nil
}

// Addrs are the addresses of the open listeners.
func (s *Server) Addrs() (public, private net.Addr) {
	return s.publicCrowd.Addr(), s.adminCrowd.Addr()
}

// Serve serves on the open listeners until ctx ends or one of them is lost, then stops gracefully, within Config.Drain.
// It returns nil after a stop in which every request was finished, and an error if a listener was lost.
func (s *Server) Serve(ctx context.Context) error {
	public, private := s.httpServer(s.Public(), s.publicCrowd), s.httpServer(s.Private(), s.adminCrowd)
	failed := make(chan error, 2)
	go func() { failed <- public.Serve(s.publicCrowd) }()
	go func() { failed <- private.Serve(s.adminCrowd) }()
	select {
	case err := <-failed:
		// A listener is lost. Running requests may end; meanwhile the other listener says that this server is not
		// ready.
		return errors.Join(err, s.stop(public, private))
	case <-ctx.Done():
	}
	return s.stop(public, private)
}

// httpServer limits what a connection may cost before a handler sees it. There is no ReadTimeout: with one, net/http's
// background read would cancel requests that wait longer than that for their picture.
func (s *Server) httpServer(h http.Handler, c *crowd) *http.Server {
	return &http.Server{
		Handler:           h,
		ConnContext:       wire.WithConn,
		ConnState:         c.follow,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    int(s.cfg.MaxURL) + 16<<10,
		ErrorLog:          slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug),
	}
}

// stop is the graceful stop: readiness off, accept until no requests come, let running requests end, then close.
func (s *Server) stop(public, private *http.Server) error {
	s.state.Draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
	defer cancel()
	s.awaitQuiet(ctx)
	// The private listener closes last, so that probes and metrics see the whole stop. Only then are waiting requests
	// ended: a poller would come back at once as long as the listener is open.
	private.RegisterOnShutdown(s.api.Stop)
	err := public.Shutdown(ctx)
	return errors.Join(err, public.Close(), private.Shutdown(ctx), private.Close())
}

// awaitQuiet returns when no image request has begun for a tenth of the drain and none is running, or when the time for
// accepting is over.
func (s *Server) awaitQuiet(ctx context.Context) {
	if s.cfg.Drain <= 0 {
		return
	}
	lull := s.cfg.Drain / 10
	over := time.NewTimer(max(s.cfg.Drain-s.cfg.Deadline, s.cfg.Drain/2))
	defer over.Stop()
	tick := time.NewTicker(max(lull/4, time.Millisecond))
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case now := <-tick.C:
			if now.Sub(began) >= lull && s.state.Quiet(now, lull) {
				return
			}
		}
	}
}

// As lets another door make one call as the token of a name, which has to have the scope.
func (s *Server) As(name, scope string) (access.Acting, error) { return s.access.As(name, scope) }
