// Package image is the public door: a signed URL in, a picture out. An image request is verified before it is parsed,
// and its response depends only on the URL and the headers that Vary names. A repeated hit takes a short path with the
// same response.
package image

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// Images returns variants. Implemented by pipeline.Pipeline.
type Images interface {
	// Recall returns a Key's entry from memory only, if it came through allowed hosts and needs no further work.
	Recall(key string, within reach.Hosts) (pipeline.Answer, bool)
	// GetFor returns the variant, and makes it if necessary and the viewer's toll allows it.
	GetFor(ctx context.Context, ref variant.Ref, who pipeline.Viewer) (pipeline.Answer, error)
	// Peek returns it only if memory or the store has it; not_cached otherwise.
	Peek(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Stat is Peek without the bytes, for a viewer who may have them: a hit that is not stale. Any error means that
	// this is unknown.
	Stat(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Viewed counts that a viewer was sent the complete body of a Key's entry.
	Viewed(key string, m cache.Meta)
}

// Config is the configuration of a Door.
type Config struct {
	PathPrefix string        // precedes every image path and is not signed
	Deadline   time.Duration // of one response
	Debug      bool          // adds headers with the sizes of original and variant
}

// Door handles image requests. Safe for concurrent use.
type Door struct {
	*exchange.Responder
	cfg    Config
	access *access.Access
	images Images
	rules  atomic.Pointer[rules]
}

// rules are the rules in force and the URLs known under them.
type rules struct {
	*access.Current
	targets *targets // URLs verified with these keys
	markers []string // of our own fetcher's requests
	accepts *accepts
}

// New makes a Door. It needs a Reload before its first request.
func New(cfg Config, r *exchange.Responder, a *access.Access, images Images) *Door {
	return &Door{Responder: r, cfg: cfg, access: a, images: images}
}

// Reload applies new rules and drops URLs known under the old ones.
func (s *Door) Reload(c *access.Current) {
	s.rules.Store(&rules{Current: c, targets: newTargets(), markers: c.Keys.Markers(), accepts: newAccepts(c.Negotiation)})
}

// ours reports whether our own fetcher sent the request: a source that is one of our URLs would be an endless loop.
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
