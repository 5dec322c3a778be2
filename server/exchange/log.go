package exchange

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/trace"
)

// Observe is the outermost middleware: request id, shared headers, recovery, and the one log line.
func (s *Responder) Observe(d Door) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			now := s.Now()
			w := c.Response()
			k := &Call{ResponseWriter: w.Writer, Door: d, ID: RequestID(c.Request().Header.Get("X-Request-Id"))}
			k.clock = clock{began: now, marked: now, span: trace.From(c.Request().Context())}
			w.Writer = k
			s.openHeaders(c, k)
			defer s.record(c, k)
			if err := s.run(c, next); err != nil {
				s.Fail(c, err)
			}
			return nil
		}
	}
}

// run calls the handler; a panic becomes an internal fault.
func (s *Responder) run(c echo.Context, next echo.HandlerFunc) (err error) {
	defer func() {
		switch r := recover(); {
		case r == nil:
		case r == http.ErrAbortHandler:
			panic(r)
		default:
			err = fault.New(fault.Internal, "exchange.run",
				"an internal error", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	if int64(len(c.Request().RequestURI)) > s.MaxURL {
		return fault.New(fault.BadPath, "exchange.run", fmt.Sprintf("the URL is longer than %d bytes", s.MaxURL), nil)
	}
	return next(c)
}

// RequestID returns the caller's id if it is safe in a log and a header, and a new one otherwise.
func RequestID(given string) string {
	if given != "" && len(given) <= 64 && strings.Trim(given, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") == "" {
		return given
	}
	return newID(time.Now())
}

// newID makes a UUID of version 7: the time, and randomness for requests of the same millisecond. It is not secret.
func newID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16|7<<12|rand.Uint64()&0xfff)
	binary.BigEndian.PutUint64(b[8:], 2<<62|rand.Uint64()>>2)
	var t [36]byte
	hex.Encode(t[:8], b[:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:], b[10:])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}

// record counts the request and writes its log line, with the attributes in the order of the phases.
func (s *Responder) record(c echo.Context, k *Call) {
	k.ended = s.Now()
	w, elapsed := c.Response(), k.ended.Sub(k.began)
	s.count(w, k, elapsed)
	said := k.pairs(c.Path())
	k.tell(Shorten(c.Request().Method, 16), w.Status, said[:])
	level := levelOf(c.Path(), w.Status)
	if !s.Log.Enabled(context.Background(), level) {
		return
	}
	line := make([]slog.Attr, 0, 24)
	line = append(line, slog.String("id", k.ID), slog.String("door", string(k.Door)), slog.String("method", Shorten(c.Request().Method, 16)),
		slog.Int("status", w.Status), slog.Int64("bytes", w.Size), slog.Float64("ms", Milliseconds(elapsed)))
	for _, a := range said {
		if a.value != "" {
			line = append(line, slog.String(a.name, a.value))
		}
	}
	if k.Cause != nil && level > slog.LevelInfo {
		line = append(line, slog.String("error", Shorten(fault.Redact(k.Cause.Error()), 4000)))
	} else if f := (*fault.Error)(nil); errors.As(k.Cause, &f) {
		line = append(line, slog.String("error", Shorten(fault.Redact(f.Public), 500)))
	}
	for p, d := range k.took {
		if d >= time.Microsecond {
			line = append(line, slog.Float64(phaseNames[p]+"_ms", Milliseconds(d)))
		}
	}
	s.Log.LogAttrs(context.Background(), level, "request", line...)
}

// count counts the request.
func (s *Responder) count(w *echo.Response, k *Call, elapsed time.Duration) {
	if s.Meter != nil {
		m := metrics.Request{
			Door: string(k.Door), Status: w.Status, Outcome: string(k.Outcome), Tier: k.Tier, Format: k.Format, Kind: string(k.Kind),
			Elapsed: elapsed, Bytes: w.Size,
		}
		if w.Status == http.StatusOK && w.Size > 0 {
			m.Original = k.Original
		}
		s.Meter.Request(m)
	}
	if k.Door == Public && k.Kind != "" {
		s.troubles.add(k.Kind, Shorten(k.Host, 255), k.ended)
	}
}

// pair is an attribute of a log line; an empty value is left out.
type pair struct{ name, value string }

// pairs are the attributes of log line and span, in the order of the phases. None contains a secret.
func (k *Call) pairs(pattern string) [9]pair {
	return [9]pair{
		{"route", routeOf(k, pattern)}, {"token", k.Who.Name}, {"options", k.Options}, {"source_host", Shorten(k.Host, 255)}, {"source", k.Source},
		{"outcome", string(k.Outcome)}, {"tier", k.Tier}, {"format", k.Format}, {"code", string(k.Kind)},
	}
}

// routeOf is the route of a response without images: its pattern, never the requested path.
func routeOf(k *Call, pattern string) string {
	if k.Door == Public && pattern == "/*" {
		return ""
	}
	return pattern
}

// levelOf is the level of a line: debug for probes, warn for our failures, error for bugs.
func levelOf(pattern string, status int) slog.Level {
	switch {
	case status == http.StatusInternalServerError:
		return slog.LevelError
	case status > 500:
		return slog.LevelWarn
	case pattern == "/health" || pattern == "/healthz" || pattern == "/readyz" || pattern == "/metrics":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Milliseconds is a duration for logs and headers.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Shorten cuts s to n bytes at most.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// plainOption is an option that may be logged: a name, and arguments that can be neither a URL nor a token.
var plainOption = regexp.MustCompile(`^[a-z_-]{1,32}(:[A-Za-z0-9.,_-]{0,16}){1,12}$`)

// freeText are the options whose arguments are free text.
var freeText = []string{"cachebuster", "cb", "fallback_image_url", "fiu", "filename", "fn", "hashsum", "hs",
	"watermark_url", "wmu"}

// SafeOptions is the options part of an image path for the log: without signature and source, which may be secret, and
// without every argument that might be.
func SafeOptions(target string) string {
	path, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "?")
	_, path, _ = strings.Cut(path, "/")
	var b strings.Builder
	for segment := range strings.SplitSeq(path, "/") {
		name, _, isOption := strings.Cut(segment, ":")
		if !isOption || b.Len() > 200 {
			break
		}
		if !plainOption.MatchString(segment) || slices.Contains(freeText, name) {
			segment = "..."
			if plainOption.MatchString(name + ":") {
				segment = name + ":..."
			}
		}
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		b.WriteString(segment)
	}
	return b.String()
}
