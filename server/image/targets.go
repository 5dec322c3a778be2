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

// known is a verified and parsed URL that its key allows, so that further requests need not do this again.
type known struct {
	ref    variant.Ref // not resolved
	terms  variant.Terms
	pair   *signing.Pair // its signing key
	open   bool          // the format is negotiated
	hinted bool          // client hints count
	target exchange.Target

	ready atomic.Pointer[[]*ready] // the prepared responses, one for each kind of client; never changed in place
}

// usable reports whether the URL and its key may still be used.
func (n *known) usable(now time.Time) bool { return n.pair.ValidAt(now) && !n.terms.Expired(now) }

// accept reduces a request's headers to what decides its response.
func (n *known) accept(h http.Header, seen *accepts) variant.Accept {
	var a variant.Accept
	if n.open {
		a = seen.fold(h["Accept"])
	}
	a.Slow = n.hinted && fields.Slow(h)
	return a
}

// maxReady is the maximum number of prepared responses of one URL.
const maxReady = 8

// readyFor is the answer that is kept for a kind of client; nil if there is none.
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

// keep makes y the answer for its kind of client, one caller at a time.
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

// accepts remembers what Accept headers came to under one set of rules: all clients of a kind send the same. Safe for
// concurrent use.
type accepts struct {
	cfg  variant.Negotiation
	mu   sync.RWMutex
	seen map[string]variant.Accept
}

// The bounds of accepts, in headers and in bytes of one.
const (
	maxAccepts      = 256
	maxAcceptHeader = 512
)

func newAccepts(cfg variant.Negotiation) *accepts {
	return &accepts{cfg: cfg, seen: map[string]variant.Accept{}}
}

// fold is variant.ParseAccept.
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
		clear(s.seen) // Somebody sends made-up headers; the real ones are back soon.
	}
	s.seen[strings.Clone(header)] = a // The header is a part of all that its request sent.
	return a
}

// digest stands for a raw request target. The targets themselves are not compared: that would take the longer the more
// of a signature is right.
type digest = [sha256.Size]byte

func digestOf(target string) digest { return sha256.Sum256([]byte(target)) }

// targets remembers known URLs by the digest of the raw request target that they came as. It belongs to one set of
// rules and is gone with it. It is bounded in bytes: when the younger half is full, the older one is forgotten. Safe
// for concurrent use.
type targets struct {
	mu           sync.RWMutex
	young, old   map[digest]*known
	bytes, limit int // of the younger half
}

const (
	// targetsBytes is what the known URLs of one set of rules may take, both halves together.
	targetsBytes = 16 << 20
	// knownBytes and readyBytes are what a known URL and an answer to it take beside their texts, as measured.
	knownBytes = 800
	readyBytes = 700
)

// cost is what a known URL takes, in bytes.
func (n *known) cost() int {
	cost := knownBytes + 2*(len(n.ref.Source)+len(n.ref.Spec.Fallback)+len(n.target.Options)+len(n.terms.Filename))
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

// get returns what is known of a target; nil if nothing is.
func (t *targets) get(d digest) *known {
	t.mu.RLock()
	n, ok := t.young[d]
	if !ok {
		n = t.old[d]
	}
	t.mu.RUnlock()
	if n != nil && !ok {
		t.put(d, n) // What is asked for stays.
	}
	return n
}

// put remembers what is known of a target.
func (t *targets) put(d digest, n *known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.young[d] == nil {
		t.grow(n.cost())
	}
	t.young[d] = n
}

// keep makes y the answer for its kind of client to a known URL.
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
