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

// Source opens the originals of one scheme other than http and https. Safe for concurrent use.
type Source interface {
	// Check returns a fault if u may not be fetched at all. It does no I/O.
	Check(u *url.URL) error
	// Open fetches u and responds as an HTTP server does: 200 with a body of ContentLength bytes, 304 if the conditions
	// hold, or a failure, whose Status is shown to callers. An error means that there was no response.
	Open(ctx context.Context, u *url.URL, conditions http.Header) (*http.Response, error)
}

// Ways are the origins other than plain HTTP. The zero value is plain HTTP only.
type Ways struct {
	Sources map[string]Source // by scheme
	Manners manners.Set       // by host
}

// Self is what a client has to know of its own server.
type Self struct {
	// Own lists the host:port pairs of this server, which are refused as sources.
	Own []string
	// Marker names this deployment in the Via header of each fetch, so that the server recognises its own requests.
	Marker string
}

// isWeb reports whether a scheme is one of HTTP's.
func isWeb(scheme string) bool { return scheme == "http" || scheme == "https" }

// checkSource checks a source that is not an http or https URL.
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

// parseWeb is parse for redirects: they may not point to the sources that only this server may read.
func (s *settings) parseWeb(to *url.URL) (*url.URL, error) {
	if !isWeb(to.Scheme) {
		return nil, fault.New(fault.SourceNotAllowed, "origin.parse", "that is not an http or https URL", nil)
	}
	return s.parse(to.String())
}

// checkManner keeps secrets off unencrypted connections.
func (s *settings) checkManner(scheme, host string) error {
	if m := s.cfg.Ways.Manners.Of(host); scheme != "https" && m != nil && m.Secret && !m.AllowHTTP {
		public := "the source's host gets credentials, so it is asked over https only"
		return fault.New(fault.SourceNotAllowed, "origin.parse", public, nil)
	}
	return nil
}

// transports makes a transport for each entry that needs its own.
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
			// The operator configured the proxy. It connects for us, and has to check addresses itself.
			t.Proxy = http.ProxyURL(m.Proxy)
			t.DialContext = (&net.Dialer{Resolver: c.hooks.Resolver}).DialContext
		}
		out[m] = t
	}
	return out
}

// closeIdle closes idle connections.
func (s *settings) closeIdle() {
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Transport is the transport of fetches, for sources that speak HTTP: every connection passes the address guard.
func (c *Client) Transport() http.RoundTripper { return c.transport }

// dialFunc connects.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// newTransport makes a transport for fetches.
func newTransport(dial dialFunc, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // A proxy would bypass the guard.
		DialContext:            dial,
		TLSClientConfig:        manners.NewTLS(roots),
		DisableCompression:     true, // The byte limits count what is received.
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// HTTP/1.1 only: one connection for each fetch, so that cutting off a slow body affects no other.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}

// said is the status of a response as callers may see it. Reason phrases of HTTP hosts are not repeated.
func said(u *url.URL, response *http.Response) string {
	if isWeb(u.Scheme) || response.Status == "" {
		return strconv.Itoa(response.StatusCode)
	}
	return response.Status
}
