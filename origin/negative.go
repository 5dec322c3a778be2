package origin

import (
	"errors"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// A known-bad source is asked for again after a minute, and each time that it is still bad after twice as long, up to an hour.
const (
	firstNegative = time.Minute
	lastNegative  = time.Hour
	maxNegatives  = 10_000
)

// negatives remember the sources that are broken for good, so that the origin is not asked for each of their viewers.
type negatives struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]negative
}

type negative struct {
	fault *fault.Error
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

// find gives the fault that a known-bad source is answered with, or nil.
func (t *negatives) find(source string) *fault.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.entries[source]
	if !ok {
		return nil
	}
	left := n.left(t.now())
	if left == 0 {
		return nil // Kept: should the next fetch fail too, its wait is twice as long.
	}
	f := *n.fault
	f.RetryAfter = left
	return &f
}

// learn notes how a fetch of source ended: a permanent fault is remembered, success forgotten, anything else says nothing.
func (t *negatives) learn(source string, err error) {
	if err == nil {
		t.forget(source)
		return
	}
	f := fault.Of(err)
	if !permanent(f.Kind) || errors.Is(err, errEarly) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := firstNegative
	if n, ok := t.entries[source]; ok {
		wait = min(2*n.wait, lastNegative)
	} else if len(t.entries) >= maxNegatives {
		t.dropOne()
	}
	// The cause may hold on to buffers and is logged by then: the public part is enough.
	t.entries[source] = negative{fault.New(f.Kind, f.Op, f.Public, nil), t.now(), wait}
}

// dropOne makes room: of a few entries in map order, which is random, the one that is nearest to its end.
func (t *negatives) dropOne() {
	now := t.now()
	victim, tried := "", 0
	for source, n := range t.entries {
		if tried == 0 || n.left(now) < t.entries[victim].left(now) {
			victim = source
		}
		if tried++; tried == 8 {
			break
		}
	}
	delete(t.entries, victim)
}

func (t *negatives) forget(source string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, source)
}

// count is how many sources are answered from here.
func (t *negatives) count() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.left(t.now()) > 0 {
			n++
		}
	}
	return n
}

func (t *negatives) clear() {
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
