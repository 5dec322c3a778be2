package image

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/server/fields"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// known is a verified and parsed URL that its key allows. It saves later requests this work.
type known struct {
	ref    variant.Ref // not resolved
	terms  variant.Terms
	pair   *signing.Pair // its signing key
	open   bool          // the format is negotiated
	hinted bool          // the client's network counts
	sized  bool          // client hints of the size count
	target exchange.Target

	ready atomic.Pointer[[]*ready] // the prepared responses, one for each kind of client; never changed in place
}

// usable reports whether the URL and its key may still be used.
func (n *known) usable(now time.Time) bool { return n.pair.ValidAt(now) && !n.terms.Expired(now) }

// accept reduces a request's headers to those that decide the response.
func (n *known) accept(h http.Header, seen *accepts) variant.Accept {
	var a variant.Accept
	if n.open {
		a = seen.fold(h["Accept"])
	}
	a.Slow = n.hinted && fields.Slow(h)
	if n.sized {
		fields.Hints(h, &a)
	}
	return a
}

// maxReady is the maximum number of prepared responses of one URL.
const maxReady = 8

// readyFor returns the prepared response for a kind of client; nil if there is none.
func (n *known) readyFor(a variant.Accept) *ready {
	if list := n.ready.Load(); list != nil {
		for _, y := range *list {
			if y.accept == a {
				return y
			}
		}
	}
	return nil
}

// keep stores y as the response for its kind of client. Only one caller at a time.
func (n *known) keep(y *ready) {
	list := make([]*ready, 1, maxReady)
	list[0] = y
	if old := n.ready.Load(); old != nil {
		for _, o := range *old {
			if o.accept != y.accept && len(list) < maxReady {
				list = append(list, o)
			}
		}
	}
	n.ready.Store(&list)
}

// accepts caches the parsed Accept headers under one set of rules: all clients of a kind send the same one. Safe for
// concurrent use.
type accepts struct {
	cfg  variant.Negotiation
	mu   sync.RWMutex
	seen map[string]variant.Accept
}

// The bounds of accepts: the number of headers, and the bytes of one.
const (
	maxAccepts      = 256
	maxAcceptHeader = 512
)

func newAccepts(cfg variant.Negotiation) *accepts {
	return &accepts{cfg: cfg, seen: map[string]variant.Accept{}}
}

// fold is variant.ParseAccept with the cache.
func (s *accepts) fold(lines []string) variant.Accept {
	header := strings.Join(lines, ",")
	s.mu.RLock()
	a, ok := s.seen[header]
	s.mu.RUnlock()
	if ok {
		return a
	}
	a = variant.ParseAccept(header, s.cfg)
	if len(header) > maxAcceptHeader {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= maxAccepts {
		clear(s.seen) // A client sends made-up headers; the real ones are soon cached again.
	}
	s.seen[strings.Clone(header)] = a // header is a substring of the whole request header
	return a
}

// digest is the hash of a raw request target. Targets themselves are not compared: that would take longer the more of a
// signature is right.
type digest = [sha256.Size]byte

func digestOf(target string) digest { return sha256.Sum256([]byte(target)) }

// targets caches known URLs by the digest of their raw request target. It belongs to one set of rules and is dropped
// with it. It is bounded in bytes: when the younger half is full, the older one is dropped. Safe for concurrent use.
type targets struct {
	mu           sync.RWMutex
	young, old   map[digest]*known
	bytes, limit int // of the younger half
}

const (
	// targetsBytes bounds the known URLs of one set of rules, both halves together.
	targetsBytes = 16 << 20
	// knownBytes and readyBytes are the measured size of a known URL and of a response, without their texts.
	knownBytes = 800
	readyBytes = 700
)

// cost is the size of a known URL in bytes.
func (n *known) cost() int {
	spec := &n.ref.Spec
	cost := knownBytes + 2*(len(n.ref.Source)+len(spec.Fallback)+len(spec.Watermark.Source)+
		len(n.target.Options)+len(n.terms.Filename))
	for _, tag := range n.terms.CacheTags {
		cost += len(tag)
	}
	if list := n.ready.Load(); list != nil {
		for _, y := range *list {
			cost += y.cost()
		}
	}
	return cost
}

func (y *ready) cost() int { return readyBytes + len(y.headers) + len(y.key) }

func newTargets() *targets {
	return &targets{young: map[digest]*known{}, limit: targetsBytes / 2}
}

// get returns the known URL of a target; nil if there is none.
func (t *targets) get(d digest) *known {
	t.mu.RLock()
	n, ok := t.young[d]
	if !ok {
		n = t.old[d]
	}
	t.mu.RUnlock()
	if n != nil && !ok {
		t.put(d, n) // a target that is used stays
	}
	return n
}

// put adds the known URL of a target.
func (t *targets) put(d digest, n *known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.young[d] == nil {
		t.grow(n.cost())
	}
	t.young[d] = n
}

// keep stores y as a response of a known URL.
func (t *targets) keep(n *known, y *ready) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grow(y.cost())
	n.keep(y)
}

// grow makes room in the younger half; mu is held.
func (t *targets) grow(bytes int) {
	if t.bytes += bytes; t.bytes > t.limit {
		t.old, t.young, t.bytes = t.young, map[digest]*known{}, bytes
	}
}
