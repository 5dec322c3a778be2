package origin

import "net/http"

// Guarded is an HTTP client for calls to addresses that others name, such as callbacks. Every connection passes the
// address guard as it is configured at that moment; there is no proxy, no cookie, and a redirect is an answer like any
// other. Errors are faults under the client's own url.Error, without the URL. It knows neither allow-list nor limits:
// the caller has its own, bounds what it reads, and ends the call by its context.
func (c *Client) Guarded() *http.Client {
	return &http.Client{
		Transport:     guarded{c.transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guarded makes faults of what goes wrong on the way.
type guarded struct{ transport *http.Transport }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.transport.RoundTrip(r)
	if err != nil {
		return nil, classify(r.Context(), r.Context(), err)
	}
	return resp, nil
}
