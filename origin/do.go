package origin

import "net/http"

// Do sends a request that is not for an original, such as a callback: under the same guard of addresses, without redirects and
// without a proxy. Which hosts may be asked is for the caller to decide.
func (c *Client) Do(r *http.Request) (*http.Response, error) { return c.transport.RoundTrip(r) }

// ForgetAll drops what is known of bad sources.
func (c *Client) ForgetAll() { c.negatives.clear() }
