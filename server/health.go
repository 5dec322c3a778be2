package server

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/console"
	"github.com/goldcrest/goldcrest/server/exchange"
)

// routePrivate registers the routes of the private listener.
func (s *Server) routePrivate(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodHead}, "/healthz", s.healthz)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/readyz", s.readyz)
	if s.deps.Metrics != nil {
		e.Match([]string{http.MethodGet, http.MethodHead}, "/metrics", echo.WrapHandler(s.deps.Metrics))
	}
	s.api.Route(e)
	console.New(console.Config{
		PublicURL: s.cfg.PublicURL(), PathPrefix: s.cfg.PathPrefix, Queue: s.deps.Prewarm != nil,
	}, s.responder, s.access, s.deps.Images).Route(e)
	if s.cfg.PProf {
		g := e.Group("/debug/pprof", exchange.Need(s.access, access.ScopeAdmin))
		g.GET("/cmdline", echo.WrapHandler(http.HandlerFunc(pprof.Cmdline)))
		g.GET("/profile", echo.WrapHandler(http.HandlerFunc(pprof.Profile)))
		g.GET("/symbol", echo.WrapHandler(http.HandlerFunc(pprof.Symbol)))
		g.GET("/trace", echo.WrapHandler(http.HandlerFunc(pprof.Trace)))
		g.GET("/*", echo.WrapHandler(http.HandlerFunc(pprof.Index)))
	}
}

// health tells a load balancer on the public listener whether to send requests here, and nothing else.
func (s *Server) health(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if s.state.Ready() != nil {
		return c.NoContent(http.StatusServiceUnavailable)
	}
	return c.NoContent(http.StatusOK)
}

// readyz is health for the orchestrator.
func (s *Server) readyz(c echo.Context) error {
	if err := s.state.Ready(); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready", "memory": s.state.Step().String()})
}

// healthPatience is how long a check waits for a worker: less than the usual timeouts of probes, and enough if a worker
// is idle.
const healthPatience = 2 * time.Second

// healthz reports whether workers make progress: an orchestrator should restart a stuck server, but not a busy one.
func (s *Server) healthz(c echo.Context) error {
	if s.deps.Check != nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), healthPatience)
		defer cancel()
		if err := s.deps.Check(ctx); err != nil {
			return fault.New(fault.Overloaded, "server.healthz", "the workers make no pictures", err)
		}
	}
	answer := map[string]string{"status": "ok", "memory": s.state.Step().String()}
	if s.deps.Overview != nil {
		answer["version"] = s.deps.Overview.Version
	}
	if s.deps.About != nil {
		maps.Copy(answer, s.deps.About())
	}
	return c.JSON(http.StatusOK, answer)
}

// checkHost refuses host names that another page could have pointed at the private listener (DNS rebinding). The
// address that the connection came in on is allowed, since an address cannot be rebound.
func (s *Server) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.servesHost(c.Request()) {
			return fault.New(fault.ForbiddenScope, "server.checkHost", "this host name is not served here; server.admin_hosts lists those that are", nil)
		}
		return next(c)
	}
}

// servesHost reports whether a request's host is one of the private listener.
func (s *Server) servesHost(r *http.Request) bool {
	host := strings.ToLower(access.HostOnly(r.Host))
	same := func(name string) bool { return host != "" && strings.EqualFold(host, name) }
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || same(access.HostOnly(s.cfg.Admin)) || slices.ContainsFunc(s.cfg.AdminHosts, same) {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsLoopback() {
			return true
		}
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && local.AddrPort().Addr().Unmap() == ip.Unmap() {
			return true
		}
	}
	return false
}
