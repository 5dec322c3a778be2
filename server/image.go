package server

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// wish is an image request once it is understood.
type wish struct {
	ref    variant.Ref // resolved
	terms  variant.Terms
	rules  *rules
	known  *known
	accept variant.Accept
}

// image is the life of an image request: verify, parse, allow, negotiate, look up or make, deliver.
func (s *Server) image(c echo.Context) error {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	s.lastImage.Store(time.Now().UnixNano())

	k, r := callOf(c), c.Request()
	k.vary = "Accept" // Until the URL is understood it may be an open one.
	if s.rules.Load().ours(r.Header) {
		k.unkept = true
		return fault.New(fault.SourceNotAllowed, "server.image", "the source is a URL of this image proxy itself", nil)
	}
	if err := s.short(pressure.Refuse); err != nil {
		return err
	}
	q, err := s.understand(k, r)
	if err != nil {
		return err
	}
	if conditional(r.Header) && !preconditioned(r.Header) {
		if a, err := s.deps.Images.Stat(r.Context(), q.ref); err == nil && unchanged(r.Header, a.Entry.Meta) {
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

// understand takes a request from its raw target to a resolved ref that its key may ask for.
func (s *Server) understand(k *call, r *http.Request) (wish, error) {
	q := wish{rules: s.rules.Load()}
	d := digestOf(r.RequestURI)
	if q.known = q.rules.targets.get(d); q.known == nil || !q.known.usable(s.deps.Now()) {
		n, err := s.learn(k, r, q.rules)
		if err != nil {
			return q, err
		}
		q.rules.targets.put(d, n)
		q.known = n
	}
	k.adopt(q.known)
	k.mark(parsePhase, s.deps.Now())
	q.ref, q.terms, q.accept = q.known.ref, q.known.terms, q.known.accept(r.Header, q.rules.accepts)
	q.ref.Spec = q.ref.Spec.Resolve(q.accept)
	k.mark(negotiatePhase, s.deps.Now())
	return q, nil
}

// learn verifies and parses a request's target, and finds out whether its key allows it. What it fills in of k by the
// time of an error is what the error's answer and log line say.
func (s *Server) learn(k *call, r *http.Request, rl *rules) (*known, error) {
	target, ok := s.target(r)
	if !ok {
		return nil, fault.New(fault.NotFound, "server.learn", "there is nothing at this path", nil)
	}
	verified, err := rl.Keys.Verify(target)
	k.mark(verifyPhase, s.deps.Now())
	if err != nil {
		k.options = safeOptions(target)
		return nil, err
	}
	n := &known{pair: verified.Key, options: safeOptions("/" + verified.Path)}
	k.options = n.options
	if n.ref, n.terms, err = rl.Parser.ParsePath(verified.Path); err != nil {
		return nil, err
	}
	n.open, n.hinted, n.vary = n.ref.Spec.IsOpen(), n.ref.Spec.VariesByHints(), vary(n.ref.Spec)
	n.host, n.name, n.source = sourceHost(n.ref.Source), baseName(n.ref.Source), shortHash(n.ref)
	k.adopt(n)
	expired := n.terms.Expired(s.deps.Now())
	if expired {
		k.expires = time.Time{} // Its refusal lives a life of its own.
	}
	if err := allowed(n.pair, n.ref, n.terms); err != nil {
		return nil, err
	}
	n.ref.Within = n.pair.Hosts()
	if expired {
		k.mark(parsePhase, s.deps.Now())
		return nil, fault.New(fault.URLExpired, "server.learn", "the URL has expired", nil)
	}
	return n, nil
}

// adopt takes over what is known of the URL.
func (k *call) adopt(n *known) {
	k.vary, k.expires, k.tags = n.vary, n.terms.Expires, n.terms.CacheTags
	k.options, k.host, k.source, k.name = n.options, n.host, n.source, n.name
}

// target is the request target as it came over the wire, less the path prefix: what was signed.
func (s *Server) target(r *http.Request) (string, bool) {
	raw := r.RequestURI
	if !strings.HasPrefix(raw, "/") { // The absolute form that proxies send, or a request made in process.
		raw = r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			raw += "?" + r.URL.RawQuery
		}
	}
	rest, ok := strings.CutPrefix(raw, s.cfg.PathPrefix)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// allowed checks what the pair that verified, or a token, may be used for.
func allowed(key unit.Rights, ref variant.Ref, terms variant.Terms) error {
	for _, source := range []string{ref.Source, ref.Spec.Fallback} {
		if source != "" && !key.AllowsSource(source) {
			return fault.New(fault.SourceNotAllowed, "server.allowed", "the signing key or token may not be used for this source", nil)
		}
	}
	presets := terms.Presets
	if terms.Free || len(presets) == 0 {
		presets = append([]string{""}, presets...) // Beside every preset: no key that is bound to presets allows that.
	}
	for _, name := range presets {
		if !key.AllowsPreset(name) {
			return fault.New(fault.SourceNotAllowed, "server.allowed", "the signing key or token may not be used for these options", nil)
		}
	}
	return nil
}

// ours reports whether our own fetcher sent the request: a source that is a URL of ours would go round for ever.
func (rl *rules) ours(h http.Header) bool {
	for _, line := range h.Values("Via") {
		for hop := range strings.SplitSeq(line, ",") {
			if f := strings.Fields(hop); len(f) >= 2 && slices.Contains(rl.markers, f[1]) {
				return true
			}
		}
	}
	return false
}

// answer asks the pipeline within the deadline.
func (s *Server) answer(r *http.Request, k *call, q wish) (a pipeline.Answer, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Deadline)
	defer cancel()
	k.looked = true
	if onlyIfCached(r.Header) {
		a, err = s.deps.Images.Peek(ctx, q.ref)
	} else {
		a, err = s.deps.Images.GetFor(ctx, q.ref, s.viewer(q))
	}
	now := s.deps.Now()
	if err != nil {
		k.marked = now
		return a, err
	}
	k.note(a)
	if t := a.Timings; t != (pipeline.Timings{}) {
		k.took[lookupPhase], k.took[queuePhase], k.took[fetchPhase], k.took[transformPhase] = t.Lookup, t.Queue, t.Fetch, t.Transform
		k.probe = t.Probe
		k.marked = now
	} else {
		k.mark(lookupPhase, now)
	}
	return a, nil
}

// note keeps of an answer what headers and log say.
func (k *call) note(a pipeline.Answer) {
	k.outcome, k.tier, k.over, k.format = a.Outcome, a.Tier, a.Over, extension(a.Entry.ContentType)
	k.original = variant.DecodeFacts(a.Entry.Attrs).SourceBytes
}

// onlyIfCached reports whether the client wants no work done.
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

// notModified answers 304 with the headers that the 200 would have.
func (s *Server) notModified(c echo.Context, k *call, q wish, a pipeline.Answer) {
	k.looked = true
	k.note(a)
	k.mark(lookupPhase, s.deps.Now())
	h := c.Response().Header()
	s.setVariant(h, k, q.rules.Lifetimes, a, q.terms)
	h.Del("Content-Type")
	c.Response().WriteHeader(http.StatusNotModified)
}

// deliver writes the variant. Only for ranges, conditions and HEAD it takes net/http's ServeContent, which copies.
func (s *Server) deliver(c echo.Context, k *call, q wish, a pipeline.Answer) error {
	w, r := c.Response(), c.Request()
	s.setVariant(w.Header(), k, q.rules.Lifetimes, a, q.terms)
	if s.plain(r) && !conditional(r.Header) {
		if a.Outcome == pipeline.Hit && a.Tier == cache.TierMemory {
			s.keepReady(w.Header(), q, a)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Entry.Body)))
		_, _ = w.Write(a.Entry.Body) // A client that left needs no answer.
		s.viewed(q.ref.Key(), a.Entry, w.Size)
		k.mark(deliverPhase, s.deps.Now())
		return nil
	}
	d := &delivery{ResponseWriter: w}
	http.ServeContent(d, conditions(r), "", a.Entry.Created, bytes.NewReader(a.Entry.Body))
	s.viewed(q.ref.Key(), a.Entry, w.Size)
	k.mark(deliverPhase, s.deps.Now())
	switch d.refused {
	case http.StatusRequestedRangeNotSatisfiable:
		return fault.New(rangeNotSatisfiable, "server.deliver", "no byte of the picture lies in the range asked for", nil)
	case http.StatusPreconditionFailed:
		return fault.New(preconditionFailed, "server.deliver", "the picture is not the one that the request names", nil)
	}
	return nil
}

// delivery holds back the plain-text refusals of http.ServeContent, which are answered as problem documents instead.
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

// Write swallows the text of a refusal.
func (d *delivery) Write(b []byte) (int, error) {
	if d.refused != 0 {
		return len(b), nil
	}
	return d.ResponseWriter.Write(b)
}

// fallbackBudget is how long a fallback image may take on top of the failure that it stands for.
const fallbackBudget = 5 * time.Second

// fallbackTTL is the longest that caches may keep a fallback image: it must not outlive the failure.
const fallbackTTL = time.Minute

// fallback answers with the picture that the URL names for failures, with the failure's own status. It reports whether
// it did.
func (s *Server) fallback(c echo.Context, k *call, q wish, cause error) bool {
	r := c.Request()
	f := faultOf(r, cause)
	peek := false
	switch f.Kind {
	case fault.Canceled:
		return false
	case fault.NotCached, fault.Overloaded, fault.ShuttingDown, fault.RateLimited:
		peek = true // No work was wanted, or there is too much of it already.
	}
	spec := q.ref.Spec
	spec.Fallback, spec.HashType, spec.HashSum = "", "", "" // The checksum is the original's.
	ref, err := q.rules.Parser.Ref(q.ref.Spec.Fallback, spec)
	if err != nil {
		return false
	}
	ref.Within = q.ref.Within
	ctx, cancel := context.WithTimeout(r.Context(), fallbackBudget)
	defer cancel()
	var a pipeline.Answer
	if peek {
		a, err = s.deps.Images.Peek(ctx, ref)
	} else {
		a, err = s.deps.Images.GetFor(ctx, ref, s.viewer(q))
	}
	if err != nil {
		return false
	}
	k.kind, k.cause, k.format = f.Kind, cause, extension(a.Entry.ContentType)
	w := c.Response()
	h := w.Header()
	row := s.refuse(h, k, f)
	if row.ttl > fallbackTTL {
		h.Set("Cache-Control", "max-age="+seconds(k.clip(fallbackTTL, s.deps.Now())))
	}
	h.Set("Content-Type", a.Entry.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(a.Entry.Body)))
	w.WriteHeader(row.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.Entry.Body) // A client that left needs no answer.
	}
	return true
}
