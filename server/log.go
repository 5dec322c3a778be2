package server

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
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/trace"
)

// door names the listener a request came in by.
type door string

const (
	publicDoor  door = "public"
	privateDoor door = "private"
)

// phase is one step of a request's life, in order; phaseNames are their names in logs and Server-Timing.
type phase int

const (
	verifyPhase phase = iota
	parsePhase
	negotiatePhase
	lookupPhase
	queuePhase
	fetchPhase
	transformPhase
	deliverPhase
	phases
)

var phaseNames = [phases]string{"verify", "parse", "negotiate", "lookup", "queue", "fetch", "transform", "deliver"}

// call is what one request has come to so far: the substance of its log line and of the headers that errors share.
//
// It is also the writer that the router's response writes to, which is how handlers find it.
type call struct {
	http.ResponseWriter
	door     door
	id       string
	began    time.Time
	marked   time.Time // end of the last phase
	ended    time.Time // when the answer was given
	span     *trace.Span
	took     [phases]time.Duration
	probe    time.Duration // the part of transform in which the quality was chosen
	vary     string        // what the answer depends on beside the URL
	expires  time.Time     // of the URL; zero = never, or not yet known
	options  string        // the options as far as they are safe to write down
	host     string        // of the source
	source   string        // short hash of the source, as in Cache-Tag
	tags     []string      // ct: tags
	looked   bool          // the pipeline was asked
	outcome  pipeline.Outcome
	tier     string
	over     time.Duration // stale: how long past its life
	name     string        // file name in the source's URL, for attachments without one
	format   string
	original int64      // bytes of the original, if known
	who      credential // whose token it carries; zero = none was needed
	status   int        // of the answer, where the fault's kind does not decide it alone; 0 = it does
	unkept   bool       // the failure hangs on a header that no cache keys on, so none may keep it
	kind     fault.Kind
	cause    error
}

// Unwrap lets http.ResponseController reach what it controls.
func (k *call) Unwrap() http.ResponseWriter { return k.ResponseWriter }

func callOf(c echo.Context) *call { return c.Response().Writer.(*call) }

// mark ends a phase.
func (k *call) mark(p phase, now time.Time) {
	k.took[p] += now.Sub(k.marked)
	k.span.Step(phaseNames[p], k.marked, now)
	k.marked = now
}

// observe is the outermost step of every request: identity, shared headers, recovery, and the one log line.
func (s *Server) observe(d door) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			now := s.deps.Now()
			w := c.Response()
			k := &call{ResponseWriter: w.Writer, door: d, id: requestID(c.Request().Header.Get("X-Request-Id")), began: now, marked: now}
			k.span = trace.From(c.Request().Context())
			w.Writer = k
			s.openHeaders(c, k)
			if d == privateDoor {
				defer s.paceBody(c)()
			}
			defer s.record(c, k)
			if err := s.run(c, d, next); err != nil {
				s.fail(c, err)
			}
			return nil
		}
	}
}

// run calls the handler; a panic becomes an internal fault.
func (s *Server) run(c echo.Context, d door, next echo.HandlerFunc) (err error) {
	defer func() {
		switch r := recover(); {
		case r == nil:
		case r == http.ErrAbortHandler:
			panic(r)
		default:
			err = fault.New(fault.Internal, "server.run", "an internal error", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	if int64(len(c.Request().RequestURI)) > s.cfg.MaxURL {
		return fault.New(fault.BadPath, "server.run", fmt.Sprintf("the URL is longer than %d bytes", s.cfg.MaxURL), nil)
	}
	if d == privateDoor {
		if err := s.checkHost(c.Request()); err != nil {
			return err
		}
	}
	return next(c)
}

// requestID takes a caller's id over if it cannot do harm in a log or a header, and makes one otherwise.
func requestID(given string) string {
	if given != "" && len(given) <= 64 && strings.Trim(given, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") == "" {
		return given
	}
	return newID(time.Now())
}

// newID makes a UUID of version 7: the time, and randomness that tells the requests of a millisecond apart. It is no
// secret.
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

// record counts the request and writes its one line, the attributes in the order of the phases.
func (s *Server) record(c echo.Context, k *call) {
	k.ended = s.deps.Now()
	w, elapsed := c.Response(), k.ended.Sub(k.began)
	if s.deps.Meter != nil {
		m := metrics.Request{
			Door: string(k.door), Status: w.Status, Outcome: string(k.outcome), Tier: k.tier, Format: k.format, Kind: string(k.kind),
			Elapsed: elapsed, Bytes: w.Size,
		}
		if w.Status == http.StatusOK && w.Size > 0 {
			m.Original = k.original
		}
		s.deps.Meter.Request(m)
	}
	if k.door == publicDoor && k.kind != "" {
		s.troubles.add(k.kind, clip(k.host, 255), k.ended)
	}
	said := k.pairs(c.Path())
	k.tell(clip(c.Request().Method, 16), w.Status, said[:])
	level := levelOf(c.Path(), w.Status)
	if !s.deps.Log.Enabled(context.Background(), level) {
		return
	}
	line := make([]slog.Attr, 0, 24)
	line = append(line, slog.String("id", k.id), slog.String("door", string(k.door)), slog.String("method", clip(c.Request().Method, 16)),
		slog.Int("status", w.Status), slog.Int64("bytes", w.Size), slog.Float64("ms", milliseconds(elapsed)))
	for _, a := range said {
		if a.value != "" {
			line = append(line, slog.String(a.name, a.value))
		}
	}
	if k.cause != nil && level > slog.LevelInfo {
		line = append(line, slog.String("error", clip(redact(k.cause.Error()), 4000)))
	} else if f := (*fault.Error)(nil); errors.As(k.cause, &f) {
		line = append(line, slog.String("error", clip(redact(f.Public), 500)))
	}
	for p, d := range k.took {
		if d >= time.Microsecond {
			line = append(line, slog.Float64(phaseNames[p]+"_ms", milliseconds(d)))
		}
	}
	s.deps.Log.LogAttrs(context.Background(), level, "request", line...)
}

// pair is something that a log line says; an empty value says nothing.
type pair struct{ name, value string }

// pairs are what log line and span say of a request, in the order of the phases. None holds a secret.
func (k *call) pairs(pattern string) [9]pair {
	return [9]pair{
		{"route", routeOf(k, pattern)}, {"token", k.who.name}, {"options", k.options}, {"source_host", clip(k.host, 255)}, {"source", k.source},
		{"outcome", string(k.outcome)}, {"tier", k.tier}, {"format", k.format}, {"code", string(k.kind)},
	}
}

// routeOf names the route of an answer without images; its pattern, never the path that was sent.
func routeOf(k *call, pattern string) string {
	if k.door == publicDoor && pattern == "/*" {
		return ""
	}
	return pattern
}

// levelOf is the level of a line: probes whisper, our failures warn, bugs shout.
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

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// clip cuts s to n bytes at most.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// queryOrUser matches what URLs carry in secret: user information and everything from the query on.
var queryOrUser = regexp.MustCompile(`(?i)(https?://)([^\s/"'?#]*@)?([^\s"'?#]*)([?#][^\s"']*)?`)

// redact removes queries and user information from the URLs in a text: errors of net/http quote them whole.
func redact(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return queryOrUser.ReplaceAllString(s, "$1$3")
}

// plainOption is an option that can be written down: a name, and arguments that can hold neither a URL nor a token.
var plainOption = regexp.MustCompile(`^[a-z_-]{1,32}(:[A-Za-z0-9.,_-]{0,16}){1,12}$`)

// freeText are the options whose arguments are the caller's own words.
var freeText = []string{"cachebuster", "cb", "fallback_image_url", "fiu", "filename", "fn", "hashsum", "hs"}

// safeOptions is the options part of an image path for the log: without the signature before it and the source after
// it, both of which can be secrets, and with every argument that might be one left out.
func safeOptions(target string) string {
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
