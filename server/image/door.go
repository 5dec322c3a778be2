// Package image is the public door: a signed URL in, a picture out. An image request is verified before it is parsed,
// and its answer depends on the URL and the headers that Vary names. A hit that was answered before takes a short way,
// whose answer is the same.
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

// Images answers resolved Refs. Implemented by pipeline.Pipeline.
type Images interface {
	// Recall answers a Key from memory alone, if that has it, from one of the hosts, and nothing is to be done for it
	// but to answer it.
	Recall(key string, within reach.Hosts) (pipeline.Answer, bool)
	// GetFor returns the variant, making it if need be and the viewer's toll agrees.
	GetFor(ctx context.Context, ref variant.Ref, who pipeline.Viewer) (pipeline.Answer, error)
	// Peek returns it only if memory or the store has it; not_cached otherwise.
	Peek(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Stat is Peek without the bytes, for a viewer who may hold them: a hit that is not stale. Any error means that
	// this is not known.
	Stat(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Viewed counts that a viewer was sent all bytes of a Key's entry.
	Viewed(key string, m cache.Meta)
}

// Config is what a Door is told.
type Config struct {
	PathPrefix string        // comes before every image path and is not signed
	Deadline   time.Duration // of one answer
}

// Door answers image requests. Safe for concurrent use.
type Door struct {
	*exchange.Responder
	cfg    Config
	access *access.Access
	images Images
	rules  atomic.Pointer[rules]
}

// rules are the rules in force and what is known under them.
type rules struct {
	*access.Current
	targets *targets // what verified under these keys
	markers []string // of our own fetcher's requests
	accepts *accepts
}

// New makes a Door. It needs a Reload before its first request.
func New(cfg Config, r *exchange.Responder, a *access.Access, images Images) *Door {
	return &Door{Responder: r, cfg: cfg, access: a, images: images}
}

// Reload takes over the rules in force. What was known under others is forgotten.
func (s *Door) Reload(c *access.Current) {
	s.rules.Store(&rules{Current: c, targets: newTargets(), markers: c.Keys.Markers(), accepts: newAccepts(c.Negotiation)})
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
