package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// The reasons why we cut off a fetch.
var (
	errTimeout = errors.New("the fetch took longer than origin.timeout")
	errSlow    = errors.New("the body came too slowly")
)

// fetch is one running Fetch, with its retry.
type fetch struct {
	client   *Client
	settings *settings
	source   *url.URL
	cap      int64        // bytes
	trips    int32        // requests that we made
	sent     atomic.Int32 // requests that went out; more than trips if the transport repeated one
	at       *url.URL     // the current URL: the source, or a redirect's target
	limits   Limits
	via      reach.Via // the hosts that redirects led through
	away     *visit    // at the host of the last redirect; nil = still at the source's own
}

// run tries, and retries once after a transport error: the connection broke, or the body ended early.
func (f *fetch) run(ctx context.Context) (Original, error) {
	inner, cancel := context.WithTimeoutCause(ctx, f.settings.cfg.Timeout, errTimeout)
	defer cancel()
	o, err := f.try(inner)
	if err != nil && f.sent.Load() <= f.trips && inner.Err() == nil && broken(err) {
		f.client.hooks.Observer.Noted("retry")
		o, err = f.try(inner)
	}
	if err != nil {
		return Original{}, classify(ctx, inner, err)
	}
	return o, nil
}

// try follows the redirects to a response and reads it. Every hop has the same checks as the source.
func (f *fetch) try(ctx context.Context) (Original, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u := f.source
	f.via = ""
	for hop := 0; ; hop++ {
		if err := f.arrive(u); err != nil {
			return Original{}, err
		}
		conditions := http.Header{}
		if hop == 0 {
			f.limits.Unless.set(conditions)
		}
		response, err := f.roundTrip(ctx, u, conditions)
		if err != nil {
			return Original{}, cause(ctx, err)
		}
		next, err := f.redirect(u, response, hop)
		if next == nil && err == nil {
			o, err := f.take(ctx, cancel, response, hop)
			_ = response.Body.Close() // The rest of the body is not needed.
			if err != nil {
				err = cause(ctx, err)
			}
			return o, err
		}
		_ = response.Body.Close()
		if err != nil {
			return Original{}, err
		}
		u = next
		f.client.hooks.Observer.Noted("redirect")
	}
}

// take makes an original of the response after a number of redirects.
func (f *fetch) take(
	ctx context.Context, cancel context.CancelCauseFunc, response *http.Response, hops int,
) (o Original, err error) {
	if hops == 0 && response.StatusCode == http.StatusNotModified && !f.limits.Unless.None() {
		f.client.hooks.Observer.Noted("not_modified")
		fresh := parseFreshness(response.Header, f.client.hooks.Now())
		return Original{Same: true, Version: f.limits.Unless, Fresh: fresh, Release: func() {}}, nil
	}
	if err := judge(response, said(f.at, response)); err != nil {
		return Original{}, err
	}
	o, err = f.read(ctx, cancel, response)
	if o.Via = f.via; err == nil && hops == 0 {
		o.Version = validatorsOf(response.Header)
	}
	return o, err
}

// hostName is the key of a host's circuit and slots.
func hostName(u *url.URL) string { return u.Scheme + "://" + u.Host }

// arrive records the next URL. The host of a redirect has a circuit of its own: its failures do not count against the
// redirecting host.
func (f *fetch) arrive(u *url.URL) (err error) {
	f.at = u
	name := hostName(u)
	if name == hostName(f.source) || f.away != nil && f.away.name == name {
		return nil
	}
	if f.away != nil {
		f.away.leave(nil) // It responded, with a redirect.
	}
	f.away, err = f.settings.hosts.call(name)
	return err
}

// leave reports the result to the host of the last redirect, and returns what it means for the source's own host.
func (f *fetch) leave(err error) error {
	at := hostName(f.at)
	if f.away != nil && f.away.name == at {
		f.away.leave(err)
	} else if f.away != nil {
		f.away.leave(errNotAsked)
	}
	if at != hostName(f.source) {
		return nil // The source's host responded, with a redirect.
	}
	return err
}

// cause returns the reason why we cut the connection, if we did, instead of the resulting error.
func cause(ctx context.Context, err error) error {
	var f *fault.Error
	if context.Cause(ctx) == errSlow && !errors.As(err, &f) {
		return errSlow
	}
	return err
}

func (f *fetch) roundTrip(ctx context.Context, u *url.URL, conditions http.Header) (*http.Response, error) {
	f.trips++
	if source, ok := f.settings.cfg.Ways.Sources[u.Scheme]; ok {
		return source.Open(ctx, u, conditions)
	}
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { f.sent.Add(1) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fault.New(fault.BadSource, "origin.Fetch", "the source is not a URL", fault.WithoutURL(err))
	}
	request.URL = u // Not parsed again: the path is sent as it was given.
	request.Header = http.Header{
		"User-Agent": {f.client.hooks.Agent},
		"Accept":     {"image/*, */*;q=0.1"},
		// A coding would hide the length, and does not make images smaller.
		"Accept-Encoding": {"identity"},
		// If this server receives its own marker, it was asked to fetch from itself: a loop.
		"Via": {"1.1 " + cmp.Or(f.settings.cfg.Self.Marker, "goldcrest")},
	}
	maps.Copy(request.Header, conditions)
	manner := f.settings.cfg.Ways.Manners.Of(u.Hostname())
	manner.Apply(request.Header)
	if own, ok := f.settings.transports[manner]; ok {
		return own.RoundTrip(request)
	}
	return f.client.transport.RoundTrip(request)
}

// redirect returns the next hop of a redirect, or nil.
func (f *fetch) redirect(from *url.URL, response *http.Response, hop int) (*url.URL, error) {
	if !redirects(from, response) {
		return nil, nil
	}
	if hop >= f.settings.cfg.Redirects {
		return nil, fault.New(fault.TooManyRedirects, "origin.redirect", "the origin redirects too often", nil)
	}
	text := escapeLocation(response.Header.Get("Location"))
	location, err := url.Parse(text)
	if err != nil || text == "" {
		why := fault.ErrThisFile
		if err != nil {
			why = fmt.Errorf("%w: %w", fault.ErrThisFile, fault.WithoutURL(err))
		}
		return nil, fault.New(fault.SourceError, "origin.redirect", "the origin redirects without a valid address", why)
	}
	to := from.ResolveReference(location)
	if from.Scheme == "https" && to.Scheme != "https" {
		return nil, fault.New(fault.SourceNotAllowed, "origin.redirect", "the origin redirects from https to another scheme", fault.ErrThisFile)
	}
	next, err := f.settings.parseWeb(to)
	if err != nil {
		kind := fault.KindOf(err)
		if kind == fault.BadSource {
			kind = fault.SourceNotAllowed // The source itself was allowed.
		}
		why := fmt.Errorf("%w: %w", fault.ErrThisFile, err)
		return nil, fault.New(kind, "origin.redirect", "the origin redirects to an address that is not allowed", why)
	}
	if host := next.Hostname(); host != f.source.Hostname() {
		via := f.via.Through(host)
		if !f.limits.Within.AllowsAll(via) {
			return nil, reach.Refused("origin.redirect")
		}
		f.via = via
	}
	return next, nil
}

// redirects reports whether a response is a redirect. Only HTTP has them: from any other source it is a failure.
func redirects(from *url.URL, response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return isWeb(from.Scheme)
	}
	return false
}

// judge turns a status into a fault. 404 and 410 mean that the original is absent. 408, 425, 429 and every 5xx mean
// that the host has a problem; Retry-After is honoured. Every other 4xx refuses this one file, and so does a status
// that is neither success nor an error. said is the status in words.
func judge(response *http.Response, said string) error {
	status := response.StatusCode
	var why error
	switch {
	case status == http.StatusOK, status == http.StatusNonAuthoritativeInfo:
		return nil
	case status == http.StatusNotFound, status == http.StatusGone:
		return fault.New(fault.SourceNotFound, "origin.Fetch", "the origin has no such file ("+said+")", nil)
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
	case status >= 400 && status < 500:
		return fault.New(fault.SourceForbidden, "origin.Fetch", "the origin refuses the file ("+said+")", nil)
	case status < 400:
		why = fault.ErrThisFile
	}
	f := fault.New(fault.SourceError, "origin.Fetch", "the origin answered "+said, why)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		f.RetryAfter = retryAfter(response.Header, status)
	}
	return f
}

// retryAfter parses Retry-After, in seconds or as a date. A 429 without one means a second.
func retryAfter(h http.Header, status int) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return max(time.Duration(n)*time.Second, time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			return max(at.Sub(date), time.Second)
		}
	}
	if status == http.StatusTooManyRequests {
		return time.Second
	}
	return 0
}
