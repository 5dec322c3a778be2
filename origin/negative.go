package origin

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// A known-bad source is asked for again after a minute, and each time that it is still bad after twice as long, up to
// an hour.
const (
	firstNegative = time.Minute
	lastNegative  = time.Hour
	maxNegatives  = 10_000
)

// Negatives remember what is broken for good by a name, such as a source, so that it is not tried again for each of its
// viewers. A name may be as long as URLs are: what is kept of it is a digest. Safe for concurrent use.
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
	via   reach.Via // the hosts that it was found out through
	at    time.Time
	wait  time.Duration
}

// left is how long the entry still answers. A clock that was set back ends it rather than freezing it.
func (n negative) left(now time.Time) time.Duration {
	age := now.Sub(n.at)
	if age < 0 {
		return 0
	}
	return max(n.wait-age, 0)
}

// Find gives the fault that a known-bad name is answered with, or nil, and the hosts that it was found out through: it
// is told to those who may have what comes from them.
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
		return nil, "" // Kept: should the next fetch fail too, its wait is twice as long.
	}
	f := *n.fault
	f.RetryAfter = left
	return &f, n.via
}

// learn notes how a fetch of source ended: a permanent fault is remembered, success forgotten, anything else says
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

// Note remembers a fault under a name: for a minute, and each time that it is noted again for twice as long, up to an
// hour.
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
	// The cause may hold on to buffers and is logged by then: the public part is enough.
	t.entries[at] = negative{fault.New(f.Kind, f.Op, f.Public, nil), via, t.now(), wait}
}

// dropOne makes room: of a few entries in map order, which is random, the one that is nearest to its end.
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

// Forget drops what is remembered under a name.
func (t *Negatives) Forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, sha256.Sum256([]byte(name)))
}

// count is how many sources are answered from here.
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

// permanent tells the faults that lie in the original itself: asking again soon brings the same.
func permanent(k fault.Kind) bool {
	switch k {
	case fault.SourceNotFound, fault.SourceTooLarge, fault.NotAnImage, fault.UnsupportedFormat, fault.DecodeFailed, fault.TruncatedSource:
		return true
	}
	return false
}
