package exchange

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/pipeline"
)

// openHeaders sets the headers of every response on a listener, errors included.
func (s *Responder) openHeaders(c echo.Context, k *Call) {
	h := c.Response().Header()
	h.Set("X-Request-Id", k.ID)
	h.Set("X-Content-Type-Options", "nosniff")
	// Nothing that we serve may run as a page, not even a hostile picture.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	if k.Door == Private {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Authorization, Cookie")
		return
	}
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if s.State.Draining.Load() || c.Request().ContentLength != 0 {
		// The next request should go to another instance; and an unread body must not hold the connection.
		h.Set("Connection", "close")
	}
	if allowed := s.CORSOrigin(c.Request().Header.Get("Origin")); allowed != "" {
		h.Set("Access-Control-Allow-Origin", allowed)
		h.Set("Access-Control-Expose-Headers", "ETag, Cache-Status, Content-Disposition, Content-Length, Goldcrest-Frames, Goldcrest-Reduced, Retry-After, Server-Timing, X-Error, X-Request-Id")
		h.Set("Timing-Allow-Origin", allowed)
	}
	if s.byOrigin {
		h.Set("Vary", "Origin")
	}
}

// CORSOrigin is the Access-Control-Allow-Origin for a request from origin; "" = none.
func (s *Responder) CORSOrigin(origin string) string {
	switch {
	case slices.Contains(s.CORS, "*"):
		return "*"
	case origin != "" && slices.Contains(s.CORS, origin):
		return origin
	}
	return ""
}

// SetShared sets the headers that successes, 304s and errors of an image URL share, as far as they are known.
func (s *Responder) SetShared(h http.Header, k *Call) {
	if k.Door == Private {
		return
	}
	vary := k.Vary
	if s.byOrigin {
		vary = strings.TrimPrefix(vary+", Origin", ", ")
	}
	if vary != "" {
		h.Set("Vary", vary)
	}
	if k.Source != "" {
		tags := append([]string{"s-" + k.Source}, k.Tags...)
		h.Set("Cache-Tag", strings.Join(tags, ","))
		h.Set("Surrogate-Key", strings.Join(tags, " "))
	}
	if status := cacheStatus(k); status != "" {
		h.Set("Cache-Status", status)
	}
	if timing := serverTiming(k); timing != "" {
		h.Set("Server-Timing", timing)
	}
}

// cacheStatus is the RFC 9211 member for the look-up.
func cacheStatus(k *Call) string {
	switch {
	case k.Outcome == pipeline.Hit:
		return "goldcrest; hit; detail=" + k.Tier
	case k.Outcome == pipeline.Stale:
		return "goldcrest; hit; ttl=-" + Seconds(k.Over) + "; detail=stale"
	case k.Outcome == pipeline.Collapsed || k.Outcome == pipeline.Miss:
		status := "goldcrest; fwd=miss"
		if k.Outcome == pipeline.Collapsed {
			status += "; collapsed"
		}
		if k.Tier == pipeline.TierMaster {
			status += "; detail=master"
		}
		return status
	case k.Kind != "" && k.Looked:
		return "goldcrest; fwd=miss; detail=" + string(k.Kind)
	case k.Kind != "":
		return "goldcrest; detail=" + string(k.Kind)
	}
	return ""
}

// serverTiming lists the phases so far in Milliseconds.
func serverTiming(k *Call) string {
	b := make([]byte, 0, 128)
	for p, d := range k.took {
		b = appendTiming(b, phaseNames[p], d)
	}
	return string(appendTiming(b, "probe", k.probe))
}

func appendTiming(b []byte, name string, d time.Duration) []byte {
	if d < time.Microsecond {
		return b
	}
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = append(b, name...)
	b = append(b, ";dur="...)
	return strconv.AppendFloat(b, Milliseconds(d), 'f', -1, 64)
}

// Clip limits a lifetime to that of the URL.
func (k *Call) Clip(d time.Duration, now time.Time) time.Duration { return ClipTo(k.Expires, d, now) }

// ClipTo limits a lifetime to the time until expires; zero = never.
func ClipTo(expires time.Time, d time.Duration, now time.Time) time.Duration {
	if expires.IsZero() {
		return d
	}
	return max(min(d, expires.Sub(now)), 0)
}

// Seconds is whole seconds, rounded down: a cache must not keep anything too long.
func Seconds(d time.Duration) string { return string(AppendSeconds(nil, d)) }

// AppendSeconds is Seconds for a buffer.
func AppendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendInt(b, int64(d/time.Second), 10)
}
