package s3store

import (
	"context"
	"sync"
	"time"
)

// listing is whether the bucket may be listed.
type listing int

const (
	listingUnknown listing = iota
	listingAllowed
	listingDenied
)

// askAgain is the interval between self-tests that readers start while it is not known whether the bucket may be
// listed.
const askAgain = 10 * time.Second

// rights is what is known of the credentials' rights. The first result stays: if a right is revoked later, calls fail
// with an error, and 403 must not then be taken for an absent object.
type rights struct {
	mu      sync.Mutex
	listing listing
	asked   time.Time
}

func (r *rights) learn(l listing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listing == listingUnknown {
		r.listing = l
	}
}

// known returns what is known, and whether the caller has to run a self-test because nothing is.
func (r *rights) known(now time.Time) (l listing, ask bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ask = r.listing == listingUnknown && now.Sub(r.asked) >= askAgain; ask {
		r.asked = now
	}
	return r.listing, ask
}

// hides reports whether a 403 means an absent object. If the bucket was down at the start, it is tested now.
func (s *Store) hides(ctx context.Context) bool {
	l, ask := s.rights.known(time.Now())
	if ask {
		_ = s.SelfTest(ctx) // Its error is not needed: the caller's own call fails in the same way.
		l, _ = s.rights.known(time.Now())
	}
	return l == listingDenied
}
