package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin/manners"
)

// Source opens the originals of one scheme beside http and https. Safe for concurrent use.
type Source interface {
	// Check says by a fault why u may not be asked for at all; nil = it may. It does no I/O.
	Check(u *url.URL) error
	// Open asks for u and answers as an HTTP server does: 200 with a body of ContentLength bytes, 304 where the
	// conditions hold, or a failure, whose Status is told to callers. An error means that there was no answer.
	Open(ctx context.Context, u *url.URL, conditions http.Header) (*http.Response, error)
}

// Ways are how originals are asked for, where that is not by plain HTTP. The zero value is plain HTTP alone.
type Ways struct {
	Sources map[string]Source // by scheme
	Manners manners.Set       // of hosts
}

// Self is what a client has to know of the server that it fetches for.
type Self struct {
	// Own lists the host:port pairs of this server, which are refused as sources.
	Own []string
	// Marker names this deployment in the Via of each fetch, so that it knows its own requests.
	Marker string
}

// isWeb reports whether a scheme is one of HTTP's.
func isWeb(scheme string) bool { return scheme == "http" || scheme == "https" }

// checkSource checks a source that is no http or https URL.
func (s *settings) checkSource(u *url.URL) (*url.URL, error) {
	source, ok := s.cfg.Ways.Sources[u.Scheme]
	switch {
	case ok:
		return u, source.Check(u)
	case u.Scheme == "s3" || u.Scheme == "gs" || u.Scheme == "local":
		public := "sources of " + u.Scheme + ":// are not configured"
		return nil, fault.New(fault.SourceNotAllowed, "origin.parse", public, nil)
	}
	return nil, fault.New(fault.BadSource, "origin.parse", "the source must be an http or https URL", nil)
}

// parseWeb is parse for where an origin redirects to: it is not given what only this server may read.
func (s *settings) parseWeb(to *url.URL) (*url.URL, error) {
	if !isWeb(to.Scheme) {
		return nil, fault.New(fault.SourceNotAllowed, "origin.parse", "that is no http or https URL", nil)
	}
	return s.parse(to.String())
}

// checkManner keeps secrets off connections that everybody on the way can read.
func (s *settings) checkManner(scheme, host string) error {
	if m := s.cfg.Ways.Manners.Of(host); scheme != "https" && m != nil && m.Secret && !m.AllowHTTP {
		public := "the source's host gets credentials, so it is asked over https only"
		return fault.New(fault.SourceNotAllowed, "origin.parse", public, nil)
	}
	return nil
}

// transports makes a transport for each manner that needs one of its own.
func (c *Client) transports(set manners.Set) map[*manners.Manner]*http.Transport {
	out := map[*manners.Manner]*http.Transport{}
	for _, m := range set.All() {
		if m.TLS == nil && m.Proxy == nil {
			continue
		}
		t := newTransport(c.dial, c.hooks.RootCAs)
		if m.TLS != nil {
			t.TLSClientConfig = m.TLS.Clone()
			if t.TLSClientConfig.RootCAs == nil {
				t.TLSClientConfig.RootCAs = c.hooks.RootCAs
			}
		}
		if m.Proxy != nil {
			// The operator named the proxy. It connects for us, and has to guard what it connects to.
			t.Proxy = http.ProxyURL(m.Proxy)
			t.DialContext = (&net.Dialer{Resolver: c.hooks.Resolver}).DialContext
		}
		out[m] = t
	}
	return out
}

// closeIdle closes the connections that nobody uses.
func (s *settings) closeIdle() {
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Transport connects as fetches do: every connection passes the address guard. It is for sources that speak HTTP.
func (c *Client) Transport() http.RoundTripper { return c.transport }

// dialFunc connects.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// newTransport makes a transport for fetches.
func newTransport(dial dialFunc, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // A proxy would connect for us, past the guard.
		DialContext:            dial,
		TLSClientConfig:        manners.NewTLS(roots),
		DisableCompression:     true, // Bodies are counted as they come.
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// HTTP/1.1 alone: one connection a fetch, so that cutting a slow body harms no other.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}

// said is the status of an answer as callers may be told. The words of HTTP hosts are not repeated.
func said(u *url.URL, response *http.Response) string {
	if isWeb(u.Scheme) || response.Status == "" {
		return strconv.Itoa(response.StatusCode)
	}
	return response.Status
}
