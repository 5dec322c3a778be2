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

// askAgain is the pause between two self-tests that a reader starts because none has told yet whether the bucket may be
// listed.
const askAgain = 10 * time.Second

// rights is what is known of the bucket's rights. What was learnt first stays: a right that is taken away later is an
// error, and no reason to take every object for absent.
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

// known gives what was learnt, and whether the caller is to run a self-test because nothing was.
func (r *rights) known(now time.Time) (l listing, ask bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ask = r.listing == listingUnknown && now.Sub(r.asked) >= askAgain; ask {
		r.asked = now
	}
	return r.listing, ask
}

// hides reports whether a 403 stands for an absent object. A bucket that was down at the start is asked now.
func (s *Store) hides(ctx context.Context) bool {
	l, ask := s.rights.known(time.Now())
	if ask {
		_ = s.SelfTest(ctx) // What it finds wrong is what the caller's own error says.
		l, _ = s.rights.known(time.Now())
	}
	return l == listingDenied
}
