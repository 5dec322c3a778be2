package image

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/server/wire"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// ready is the prepared response for one URL and one kind of client, from its last memory hit.
type ready struct {
	accept variant.Accept
	key    string

	// Of its entry; with another one under the same key the response is prepared again.
	etag        string
	contentType string
	created     time.Time

	headers  []byte // complete lines of the common headers, the Content-Type last
	untyped  int    // length of headers without the Content-Type, for a 304
	length   []string
	format   string
	original int64
	log      slog.Handler // with the common attributes of its log lines
}

// of reports whether the response was prepared from this entry.
func (y *ready) of(m cache.Meta) bool {
	return y.etag == m.ETag && y.contentType == m.ContentType && y.created.Equal(m.Created)
}

// ownHeaders are those that differ between responses for one URL and client. net/http writes Content-Length and Date.
var ownHeaders = []string{"X-Request-Id", "Cache-Control", "Server-Timing", "Content-Type", "Content-Length", "Date", "Connection"}

// keepReady prepares the next hit of the same URL and client. h has the headers of this one, which is a plain memory
// hit.
func (s *Door) keepReady(h http.Header, q wish, a pipeline.Answer) {
	m := a.Entry.Meta
	if y := q.known.readyFor(q.accept); y != nil && y.of(m) {
		return
	}
	y := &ready{
		accept: q.accept, key: q.ref.Key(), etag: m.ETag, contentType: m.ContentType, created: m.Created,
		length: []string{strconv.Itoa(len(a.Entry.Body))}, format: extension(m.ContentType),
		original: variant.DecodeFacts(m.Attrs).SourceBytes,
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !slices.Contains(ownHeaders, name) {
			y.headers = wire.AppendHeader(y.headers, name, strings.Join(h[name], ", "))
		}
	}
	y.untyped = len(y.headers)
	y.headers = slices.Clip(wire.AppendHeader(y.headers, "Content-Type", m.ContentType))
	n := q.known
	y.log = s.Log.Handler().WithAttrs(attrs(
		"door", string(exchange.Public), "method", http.MethodGet, "options", n.target.Options,
		"source_host", exchange.Shorten(n.target.Host, 255), "source", n.target.Source,
		"outcome", string(a.Outcome), "tier", a.Tier, "format", y.format,
	))
	q.rules.targets.keep(n, y)
}

// attrs are the pairs of names and values that have a value.
func attrs(pairs ...string) []slog.Attr {
	var list []slog.Attr
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, slog.String(pairs[i], pairs[i+1]))
		}
	}
	return list
}

// plain reports whether a request uses no other feature of HTTP, so that its response is the same for all. Of the
// conditions only those of a cache, by which it may have the picture already, are plain.
func (s *Door) plain(r *http.Request) bool {
	h := r.Header
	return r.Method == http.MethodGet && r.ContentLength == 0 && !s.State.Draining.Load() && s.State.Step() < pressure.Refuse && !(s.ByOrigin() && h["Origin"] != nil) &&
		h["Range"] == nil && h["If-Range"] == nil && !fields.Preconditioned(h)
}

// Hit serves a request for a known URL whose variant is in memory, without the router. It reports whether it did:
// everything else, including traced requests, is left to the normal path, whose response is the same.
func (s *Door) Hit(w http.ResponseWriter, r *http.Request) bool {
	c := wire.Of(r)
	if c == nil || !s.plain(r) || int64(len(r.RequestURI)) > s.MaxURL || s.Tracer != nil && trace.From(r.Context()) != nil {
		return false
	}
	began, rl := s.Now(), s.rules.Load()
	n := rl.targets.get(digestOf(r.RequestURI))
	if n == nil || !n.usable(began) || rl.ours(r.Header) {
		return false
	}
	y := n.readyFor(n.accept(r.Header, rl.accepts))
	if y == nil {
		return false
	}
	a, ok := s.images.Recall(y.key, n.ref.Within)
	if !ok || !y.of(a.Entry.Meta) {
		return false
	}
	s.State.Enter(began)
	defer s.State.Leave()

	id, now := exchange.RequestID(r.Header.Get("X-Request-Id")), s.Now()
	own := wire.AppendHeader(c.Own(), "X-Request-Id", id)
	own = append(own, "Cache-Control: "...)
	own = appendCacheControl(own, rl.Lifetimes, n.terms.Expires, a, now)
	own = append(own, "\r\nServer-Timing: lookup;dur="...)
	own = strconv.AppendFloat(own, exchange.Milliseconds(now.Sub(began)), 'f', -1, 64)
	own = append(own, "\r\n"...)
	if fields.Conditional(r.Header) && fields.Unchanged(r.Header, a.Entry.Meta) {
		c.Prepare(own, y.headers[:y.untyped], nil)
		w.WriteHeader(http.StatusNotModified)
		s.recordHit(y, id, http.StatusNotModified, 0, began)
		return true
	}
	h := w.Header()
	h["Content-Type"] = nil // it is in the prepared headers; net/http must not guess it
	h["Content-Length"] = y.length
	c.Prepare(own, y.headers, a.Entry.Body)
	sent, _ := w.Write(a.Entry.Body) // a client that left needs no response
	s.viewed(y.key, a.Entry, int64(sent))
	s.recordHit(y, id, http.StatusOK, sent, began)
	return true
}

// viewed counts a complete response: not a 304, a HEAD, or a part.
func (s *Door) viewed(key string, e cache.Entry, sent int64) {
	if sent == int64(len(e.Body)) {
		s.images.Viewed(key, e.Meta)
	}
}

// recordHit is record for Hit.
func (s *Door) recordHit(y *ready, id string, status, sent int, began time.Time) {
	now := s.Now()
	elapsed := now.Sub(began)
	if s.Meter != nil {
		m := metrics.Request{
			Door: string(exchange.Public), Status: status, Outcome: string(pipeline.Hit), Tier: cache.TierMemory, Format: y.format,
			Elapsed: elapsed, Bytes: int64(sent),
		}
		if sent > 0 {
			m.Original = y.original
		}
		s.Meter.Request(m)
	}
	// Directly to the handler: a Logger would look up the caller on the stack, which no log line uses.
	ctx := context.Background()
	if !y.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(now, slog.LevelInfo, "request", 0)
	line.AddAttrs(slog.String("id", id), slog.Int("status", status), slog.Int("bytes", sent), slog.Float64("ms", exchange.Milliseconds(elapsed)))
	_ = y.log.Handle(ctx, line) // as a Logger does: if the log cannot be written, that cannot be logged
}
