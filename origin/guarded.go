package origin

import "net/http"

// Guarded is an HTTP client for calls to addresses that callers name, such as callbacks. Every connection passes the
// address guard with its current configuration; there is no proxy and no cookie, and redirects are not followed. Errors
// are faults inside url.Error, without the URL. It has neither allow-list nor limits: its user brings those, bounds
// what it reads, and ends the call by its context.
func (c *Client) Guarded() *http.Client {
	return &http.Client{
		Transport:     guarded{c.transport, c.hooks.Agent},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guarded names this program in requests and turns transport errors into faults.
type guarded struct {
	transport *http.Transport
	agent     string
}

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context()) // a RoundTripper must not change the caller's request
	r.Header.Set("User-Agent", g.agent)
	resp, err := g.transport.RoundTrip(r)
	if err != nil {
		return nil, classify(r.Context(), r.Context(), err)
	}
	return resp, nil
}
