package image

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/variant"
)

// wish is a parsed image request.
type wish struct {
	ref    variant.Ref // resolved
	terms  variant.Terms
	rules  *rules
	known  *known
	accept variant.Accept
}

// Serve handles an image request: verify, parse, allow, negotiate, look up or make, deliver.
func (s *Door) Serve(c echo.Context) error {
	s.State.Enter(time.Now())
	defer s.State.Leave()

	k, r := exchange.CallOf(c), c.Request()
	k.Vary = "Accept" // until the URL is parsed it may be one without a format
	if s.rules.Load().ours(r.Header) {
		k.Unkept = true
		return fault.New(fault.SourceNotAllowed, "image.Serve", "the source is a URL of this image proxy itself", nil)
	}
	if err := s.State.Short(pressure.Refuse); err != nil {
		return err
	}
	q, err := s.understand(k, r)
	if err != nil {
		return err
	}
	if fields.Conditional(r.Header) && !fields.Preconditioned(r.Header) {
		if a, err := s.images.Stat(r.Context(), q.ref); err == nil && fields.Unchanged(r.Header, a.Entry.Meta) {
			s.notModified(c, k, q, a)
			return nil
		}
	}
	a, err := s.answer(r, k, q)
	if err != nil {
		if q.ref.Spec.Fallback != "" && s.fallback(c, k, q, err) {
			return nil
		}
		return err
	}
	return s.deliver(c, k, q, a)
}

// understand turns a request's raw target into a resolved ref that its key may ask for.
func (s *Door) understand(k *exchange.Call, r *http.Request) (wish, error) {
	q := wish{rules: s.rules.Load()}
	d := digestOf(r.RequestURI)
	if q.known = q.rules.targets.get(d); q.known == nil || !q.known.usable(s.Now()) {
		n, err := s.learn(k, r, q.rules)
		if err != nil {
			return q, err
		}
		q.rules.targets.put(d, n)
		q.known = n
	}
	k.Target = q.known.target
	k.Mark(exchange.Parse, s.Now())
	q.ref, q.terms, q.accept = q.known.ref, q.known.terms, q.known.accept(r.Header, q.rules.accepts)
	q.ref.Spec = q.ref.Spec.Resolve(q.accept)
	k.Mark(exchange.Negotiate, s.Now())
	return q, nil
}

// learn verifies and parses a request's target, and checks whether its key allows it. The parts of k that it fills in
// before an error appear in the error's response and log line.
func (s *Door) learn(k *exchange.Call, r *http.Request, rl *rules) (*known, error) {
	target, ok := s.target(r)
	if !ok {
		return nil, fault.New(fault.NotFound, "image.learn", "there is nothing at this path", nil)
	}
	verified, parse, err := grammar.Verify(rl.Keys, rl.Parser, target)
	k.Mark(exchange.Verify, s.Now())
	if err != nil {
		k.Options = exchange.SafeOptions(target)
		return nil, err
	}
	n := &known{pair: verified.Key}
	n.target.Options = exchange.SafeOptions("/" + verified.Path)
	k.Options = n.target.Options
	if n.ref, n.terms, err = parse(verified.Path); err != nil {
		return nil, err
	}
	n.open, n.hinted = n.ref.Spec.IsOpen(), n.ref.Spec.VariesByHints()
	n.sized = n.ref.Spec.HintWidth || n.ref.Spec.HintDPR
	n.target = exchange.Target{
		Vary: fields.Vary(n.ref.Spec), Expires: n.terms.Expires, Tags: n.terms.CacheTags, Options: n.target.Options,
		Host: exchange.SourceHost(n.ref.Source), Source: exchange.ShortHash(n.ref), Name: baseName(n.ref.Source),
	}
	k.Target = n.target
	expired := n.terms.Expired(s.Now())
	if expired {
		k.Expires = time.Time{} // a refusal has its own lifetime
	}
	if err := rl.Allowed(r.Context(), n.pair.Rights, n.ref, n.terms); err != nil {
		return nil, err
	}
	n.ref.Within = n.pair.Hosts()
	if expired {
		k.Mark(exchange.Parse, s.Now())
		return nil, fault.New(fault.URLExpired, "image.learn", "the URL has expired", nil)
	}
	return n, nil
}

// target is the request target as it was received, without the path prefix: what was signed.
func (s *Door) target(r *http.Request) (string, bool) {
	raw := r.RequestURI
	if !strings.HasPrefix(raw, "/") { // the absolute form that proxies send, or a request made in process
		raw = r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			raw += "?" + r.URL.RawQuery
		}
	}
	rest, ok := strings.CutPrefix(raw, s.cfg.PathPrefix)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// answer calls the pipeline within the deadline.
func (s *Door) answer(r *http.Request, k *exchange.Call, q wish) (a pipeline.Answer, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Deadline)
	defer cancel()
	k.Looked = true
	if onlyIfCached(r.Header) {
		a, err = s.images.Peek(ctx, q.ref)
	} else {
		a, err = s.images.GetFor(ctx, q.ref, s.viewer(q))
	}
	now := s.Now()
	if err != nil {
		k.Skip(now)
		return a, err
	}
	note(k, a)
	k.Worked(a.Timings, now)
	return a, nil
}

// note copies a result's facts for headers and log.
func note(k *exchange.Call, a pipeline.Answer) {
	k.Outcome, k.Tier, k.Over, k.Format = a.Outcome, a.Tier, a.Over, extension(a.Entry.ContentType)
	k.Original = variant.DecodeFacts(a.Entry.Attrs).SourceBytes
}

// onlyIfCached reports whether the client asks for a cached response only.
func onlyIfCached(h http.Header) bool {
	for _, line := range h.Values("Cache-Control") {
		for d := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(d), "only-if-cached") {
				return true
			}
		}
	}
	return false
}

// notModified sends 304 with the headers of the 200.
func (s *Door) notModified(c echo.Context, k *exchange.Call, q wish, a pipeline.Answer) {
	k.Looked = true
	note(k, a)
	k.Mark(exchange.Lookup, s.Now())
	h := c.Response().Header()
	s.setVariant(h, k, q.rules.Lifetimes, a, q.terms)
	h.Del("Content-Type")
	c.Response().WriteHeader(http.StatusNotModified)
}

// deliver writes the variant. It uses net/http's ServeContent, which copies, only for ranges, conditions and HEAD.
func (s *Door) deliver(c echo.Context, k *exchange.Call, q wish, a pipeline.Answer) error {
	w, r := c.Response(), c.Request()
	s.setVariant(w.Header(), k, q.rules.Lifetimes, a, q.terms)
	if s.plain(r) && !fields.Conditional(r.Header) {
		if a.Outcome == pipeline.Hit && a.Tier == cache.TierMemory {
			s.keepReady(w.Header(), q, a)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Entry.Body)))
		_, _ = w.Write(a.Entry.Body) // a client that left needs no response
		s.viewed(q.ref.Key(), a.Entry, w.Size)
		k.Mark(exchange.Deliver, s.Now())
		return nil
	}
	d := &delivery{ResponseWriter: w}
	http.ServeContent(d, fields.Conditions(r), "", a.Entry.Created, bytes.NewReader(a.Entry.Body))
	s.viewed(q.ref.Key(), a.Entry, w.Size)
	k.Mark(exchange.Deliver, s.Now())
	switch d.refused {
	case http.StatusRequestedRangeNotSatisfiable:
		return fault.New(exchange.RangeNotSatisfiable, "image.deliver",
			"no byte of the picture lies in the range asked for", nil)
	case http.StatusPreconditionFailed:
		return fault.New(exchange.PreconditionFailed, "image.deliver",
			"the picture is not the one that the request names", nil)
	}
	return nil
}

// delivery suppresses the plain-text refusals of http.ServeContent, which are sent as problem documents instead.
type delivery struct {
	http.ResponseWriter
	refused int
}

// WriteHeader passes successes on.
func (d *delivery) WriteHeader(status int) {
	if status >= 400 {
		d.refused = status
		return
	}
	d.ResponseWriter.WriteHeader(status)
}

// Write drops the text of a refusal.
func (d *delivery) Write(b []byte) (int, error) {
	if d.refused != 0 {
		return len(b), nil
	}
	return d.ResponseWriter.Write(b)
}

// fallbackBudget is the time for a fallback image in addition to that of the failure.
const fallbackBudget = 5 * time.Second

// fallbackTTL is the maximum lifetime of a fallback image in caches: it must not outlive the failure.
const fallbackTTL = time.Minute

// fallback sends the URL's fallback picture, with the failure's own status. It reports whether it did.
func (s *Door) fallback(c echo.Context, k *exchange.Call, q wish, cause error) bool {
	r := c.Request()
	f := exchange.FaultOf(r, cause)
	peek := false
	switch f.Kind {
	case fault.Canceled:
		return false
	case fault.NotCached, fault.Overloaded, fault.ShuttingDown, fault.RateLimited:
		peek = true // the client wants no work, or there is too much already
	}
	spec := q.ref.Spec
	spec.Fallback, spec.HashType, spec.HashSum = "", "", "" // the checksum is the original's
	ref, err := q.rules.Parser.Ref(q.ref.Spec.Fallback, spec)
	if err != nil {
		return false
	}
	ref.Within = q.ref.Within
	ctx, cancel := context.WithTimeout(r.Context(), fallbackBudget)
	defer cancel()
	var a pipeline.Answer
	if peek {
		a, err = s.images.Peek(ctx, ref)
	} else {
		a, err = s.images.GetFor(ctx, ref, s.viewer(q))
	}
	if err != nil {
		return false
	}
	k.Kind, k.Cause, k.Format = f.Kind, cause, extension(a.Entry.ContentType)
	w := c.Response()
	h := w.Header()
	status, ttl := s.Refuse(h, k, f)
	if ttl > fallbackTTL {
		h.Set("Cache-Control", "max-age="+exchange.Seconds(k.Clip(fallbackTTL, s.Now())))
	}
	h.Set("Content-Type", a.Entry.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(a.Entry.Body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.Entry.Body) // a client that left needs no response
	}
	return true
}

// viewer identifies the viewer: their signing key, and its toll for a new variant.
func (s *Door) viewer(q wish) pipeline.Viewer {
	key := q.known.pair.ID()
	return pipeline.Viewer{Key: key, Toll: s.access.Toll(q.rules.Current, key)}
}
