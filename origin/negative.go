package origin

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// A source that is known to be bad is fetched again after a minute, and after twice as long each time that it is still
// bad, up to an hour.
const (
	firstNegative = time.Minute
	lastNegative  = time.Hour
	maxNegatives  = 10_000
)

// Negatives is a cache of permanent failures by name, such as a source, so that it is not fetched again for each
// viewer. Names may be as long as URLs, so only a digest is kept. Safe for concurrent use.
type Negatives struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[digest]negative
}

type digest [sha256.Size]byte

// NewNegatives makes an empty table of at most 10,000 names.
func NewNegatives(now func() time.Time) *Negatives {
	return &Negatives{now: now, entries: map[digest]negative{}}
}

type negative struct {
	fault *fault.Error
	via   reach.Via // the hosts through which it was found
	at    time.Time
	wait  time.Duration
}

// left is how long the entry is still valid. If the clock was set back, the entry ends.
func (n negative) left(now time.Time) time.Duration {
	age := now.Sub(n.at)
	if age < 0 {
		return 0
	}
	return max(n.wait-age, 0)
}

// Find returns the cached fault of a name, or nil, and the hosts through which it was found: only callers that may use
// those hosts may see it.
func (t *Negatives) Find(name string) (*fault.Error, reach.Via) {
	at := digest(sha256.Sum256([]byte(name)))
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.entries[at]
	if !ok {
		return nil, ""
	}
	left := n.left(t.now())
	if left == 0 {
		return nil, "" // Kept: if the next fetch fails too, its wait doubles.
	}
	f := *n.fault
	f.RetryAfter = left
	return &f, n.via
}

// learn records the result of a fetch: a permanent fault is cached, success removes it, any other fault changes
// nothing.
func (t *Negatives) learn(source string, via reach.Via, err error) {
	if err == nil {
		t.Forget(source)
		return
	}
	f := fault.Of(err)
	if !permanent(f.Kind) || errors.Is(err, errEarly) {
		return
	}
	t.Note(source, via, f)
}

// Note caches a fault under a name: for a minute, and twice as long each time that it is noted again, up to an hour.
func (t *Negatives) Note(name string, via reach.Via, f *fault.Error) {
	at := digest(sha256.Sum256([]byte(name)))
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := firstNegative
	if n, ok := t.entries[at]; ok {
		wait = min(2*n.wait, lastNegative)
	} else if len(t.entries) >= maxNegatives {
		t.dropOne()
	}
	// The cause may reference buffers and is logged already: the public part is enough.
	t.entries[at] = negative{fault.New(f.Kind, f.Op, f.Public, nil), via, t.now(), wait}
}

// dropOne makes room: of a few entries in (random) map order it removes the one that expires first.
func (t *Negatives) dropOne() {
	now := t.now()
	victim, tried := digest{}, 0
	for at, n := range t.entries {
		if tried == 0 || n.left(now) < t.entries[victim].left(now) {
			victim = at
		}
		if tried++; tried == 8 {
			break
		}
	}
	delete(t.entries, victim)
}

// Forget removes a name.
func (t *Negatives) Forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, sha256.Sum256([]byte(name)))
}

// count is the number of valid entries.
func (t *Negatives) count() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.left(t.now()) > 0 {
			n++
		}
	}
	return n
}

func (t *Negatives) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.entries)
}

// permanent reports faults of the original itself: a repeated fetch would have the same result.
func permanent(k fault.Kind) bool {
	switch k {
	case fault.SourceNotFound, fault.SourceTooLarge, fault.NotAnImage, fault.UnsupportedFormat, fault.DecodeFailed, fault.TruncatedSource:
		return true
	}
	return false
}
