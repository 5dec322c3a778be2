package exchange

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// SourceHost is the host of a source, for the log only: never its path or query, and never a metric's label.
func SourceHost(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// ShortHash is the part of the source's hash that cache tags contain.
func ShortHash(ref variant.Ref) string {
	h := ref.SourceHash()
	return h[:min(len(h), 16)]
}

// TargetBelow is the image path after a route of the private listener, as it was sent, without the path prefix.
func TargetBelow(r *http.Request, route, prefix string) (string, error) {
	target, ok := strings.CutPrefix(r.RequestURI, route)
	if !ok {
		return "", fault.New(fault.NotFound, "exchange.TargetBelow", "there is nothing at this path", nil)
	}
	if rest, ok := strings.CutPrefix(target, prefix); ok && strings.HasPrefix(rest, "/") {
		target = rest
	}
	return target, nil
}
