// Package server speaks HTTP: routes, negotiation, cache headers, fault -> status, console page.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/server/wire"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// Images answers resolved Refs. Implemented by pipeline.Pipeline.
type Images interface {
	// Recall answers a Key from memory alone, if that has it, from one of the hosts, and nothing is to be done for it
	// but to answer it.
	Recall(key string, within reach.Hosts) (pipeline.Answer, bool)
	// GetFor returns the variant, making it if need be and the viewer's toll agrees.
	GetFor(ctx context.Context, ref variant.Ref, who pipeline.Viewer) (pipeline.Answer, error)
	// Peek returns it only if memory or the store has it; not_cached otherwise.
	Peek(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Stat is Peek without the bytes, for a viewer who may hold them: a hit that is not stale. Any error means that
	// this is not known.
	Stat(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Viewed counts that a viewer was sent all bytes of a Key's entry.
	Viewed(key string, m cache.Meta)
}

// Meter counts answers. Implemented by metrics.Metrics.
type Meter interface {
	Request(r metrics.Request)
	// Limited counts what was refused for the limit of a token or key, which are what; name is the operator's for it.
	Limited(what, name string)
	// ConnectionClosed counts a connection that was closed for a bound: connections or connections_per_address.
	ConnectionClosed(bound string)
}

// Deps is what a Server speaks for.
type Deps struct {
	Images  Images
	Check   func(context.Context) error // whether workers get anywhere, told by the end of the context; nil = there are none
	Sandbox string                      // how workers are enclosed, for /healthz; empty = not told
	Quality func() string               // what the self-check of the encoders found, for /healthz; nil = not told
	Metrics http.Handler                // nil = no /metrics
	Meter   Meter                       // nil = none
	Log     *slog.Logger                // nil = no log
	Tracer  trace.Tracer                // nil = nothing is traced
	Now     func() time.Time            // nil = time.Now

	// Warm makes what is missing of the variants of one source, behind all viewers. nil = explain runs nothing.
	Warm        func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	Pressure    func() pressure.Step                                           // how short memory is; nil = never
	NoImages    bool                                                           // the public listener answers /health alone
	Prewarm     Prewarm                                                        // nil = this instance has no queue, and no routes for it
	Predecessor Predecessor                                                    // nil = its call is not answered
	Purge       func(ctx context.Context, what pipeline.Selector) (int, error) // on every instance; nil = no purge
	Overview    *Overview                                                      // nil = none is given
	TrustTraces bool                                                           // viewers' requests say themselves whether they are traced
}

// Rules is what a reload replaces, as a whole.
type Rules struct {
	Keys        *signing.Keyring
	Parser      *variant.Parser
	OnlyPresets bool // as the Parser was told
	Negotiation variant.Negotiation
	Lifetimes   Lifetimes
	API         API
	Prewarm     unit.Rules // how prewarm calls are read
}

// rules is the immutable form of Rules that requests read: one request sees one rules from beginning to end.
type rules struct {
	Rules
	tokens  []credential
	keys    map[string]*bucket // by key id; absent = no limit
	targets *targets           // what verified under these keys
	markers []string           // of our own fetcher's requests
	accepts *accepts
}

// Server is the two HTTP doors: the public one serves images, the private one everything else. Safe for concurrent use.
type Server struct {
	cfg     Config
	deps    Deps
	rules   atomic.Pointer[rules]
	public  *echo.Echo
	private *echo.Echo

	byOrigin bool // answers differ by Origin, whether or not a request has one

	sessions        *sessions // of the console
	logins, bearers *guesses  // wrong tokens

	publicCrowd, adminCrowd *crowd

	troubles troubles // error answers to viewers, by code and host

	intake   *semaphore.Weighted // what the bodies of prewarm calls may take in memory
	stopping context.Context     // ends when the private listener does, and with it what only waits
	stopAll  context.CancelFunc

	draining  atomic.Bool
	inFlight  atomic.Int64
	lastImage atomic.Int64 // when the last image request began, in Unix nanoseconds
}

// New makes a Server. It opens nothing; see Listen.
func New(cfg Config, deps Deps, r Rules) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, deps: deps, sessions: newSessions(), logins: newGuesses(loginGuesses), bearers: newGuesses(bearerGuesses),
		byOrigin: len(cfg.CORS) > 0 && !slices.Contains(cfg.CORS, "*")}
	if err := s.Reload(r); err != nil {
		return nil, err
	}
	s.public = s.newEcho(publicDoor)
	s.public.GET("/health", s.health)
	s.public.HEAD("/health", s.health)
	if !deps.NoImages {
		s.public.GET("/*", s.image)
		s.public.HEAD("/*", s.image)
		s.public.OPTIONS("/*", s.preflight)
	}
	s.private = s.newEcho(privateDoor)
	s.private.Pre(probeOnly)
	s.intake = newIntake()
	s.stopping, s.stopAll = context.WithCancel(context.Background())
	s.routePrivate(s.private)
	return s, nil
}

// newEcho makes a router whose every answer, its own 404 and 405 included, passes through observe.
func (s *Server) newEcho(d door) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.Pre(s.observe(d))
	return e
}

// Reload replaces the rules for requests that begin from now on. On an error the old ones stay.
func (s *Server) Reload(r Rules) error {
	if r.Keys == nil || r.Parser == nil {
		return errors.New("server: a keyring and a parser are needed")
	}
	if r.Prewarm.Limits == (unit.Limits{}) {
		r.Prewarm.Limits = unit.DefaultLimits()
	}
	if err := r.API.Validate(); err != nil {
		return err
	}
	tokens, err := readTokens(r.API)
	if err != nil {
		return err
	}
	for i, t := range r.API.Tokens {
		if _, known := r.Keys.Limits()[t.Key]; t.Key != "" && !known {
			return fmt.Errorf("api.tokens[%d] (%s): key: there is no key with the id %q in signing.keys", i, t.Name, t.Key)
		}
	}
	next := &rules{Rules: r, tokens: tokens, markers: r.Keys.Markers(), targets: newTargets(), accepts: newAccepts(r.Negotiation)}
	s.limit(next, s.rules.Load())
	s.rules.Store(next)
	return nil
}

// pressure is how short memory is.
func (s *Server) pressure() pressure.Step {
	if s.deps.Pressure == nil {
		return pressure.Normal
	}
	return s.deps.Pressure()
}

// short refuses a request while memory is shorter than it may be for that.
func (s *Server) short(from pressure.Step) error {
	if s.pressure() < from {
		return nil
	}
	f := fault.New(fault.Overloaded, "server.short", "this server is short of memory; try again shortly", nil)
	f.RetryAfter = 5 * time.Second
	return f
}

// spare refuses calls that take memory to give work for later while there is hardly enough for answers.
func (s *Server) spare(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.short(pressure.CacheOnly); err != nil {
			return err
		}
		return next(c)
	}
}

// Public is the handler behind the public listener.
func (s *Server) Public() http.Handler { return http.HandlerFunc(s.servePublic) }

// servePublic answers what is known and in memory at once. Everything else goes through the router.
func (s *Server) servePublic(w http.ResponseWriter, r *http.Request) {
	if hasBody(r) { // No request for a picture has one.
		dropBody(w)
		defer s.finish(s.publicCrowd, r)
	}
	if s.deps.Tracer != nil {
		r = s.traced(r, publicDoor)
	}
	if !s.hit(w, r) {
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
	if s.deps.Tracer != nil {
		r = s.traced(r, privateDoor)
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

// Serve answers on the open listeners until ctx ends or one of them is lost, then stops gracefully as Config.Drain
// says. It returns nil after a stop in which every request was answered, and an error if a listener was lost.
func (s *Server) Serve(ctx context.Context) error {
	public, private := s.httpServer(s.Public(), s.publicCrowd), s.httpServer(s.Private(), s.adminCrowd)
	failed := make(chan error, 2)
	go func() { failed <- public.Serve(s.publicCrowd) }()
	go func() { failed <- private.Serve(s.adminCrowd) }()
	select {
	case err := <-failed:
		// A listener is lost. What runs may end; the other listener tells meanwhile that this server is not ready.
		return errors.Join(err, s.stop(public, private))
	case <-ctx.Done():
	}
	return s.stop(public, private)
}

// httpServer bounds what a connection may cost before a handler sees it. There is no ReadTimeout: with one, net/http's
// background read would cancel requests that wait for their picture longer than that.
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

// stop is the graceful end: readiness off, accept until nobody asks any more, let running requests end, then close.
func (s *Server) stop(public, private *http.Server) error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
	defer cancel()
	s.awaitQuiet(ctx)
	// The private listener goes last: probes and metrics see the whole stop. Not before does it end what only waits:
	// whoever polls comes back at once, as long as somebody listens.
	private.RegisterOnShutdown(s.stopAll)
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
			last := time.Unix(0, s.lastImage.Load())
			if s.inFlight.Load() == 0 && now.Sub(began) >= lull && now.Sub(last) >= lull {
				return
			}
		}
	}
}
