package cache

import (
	"sync"
	"time"
)

const (
	breakerFailures = 5               // consecutive failures that open it
	breakerRest     = 5 * time.Second // how long it stays open; then one call at a time is a probe
)

// breaker protects callers from a failing store. After a number of consecutive failures it opens for a while. Then it
// lets one probe through at a time, and closes when one succeeds.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
	probing  bool
}

type verdict int

const (
	unknown verdict = iota // the caller left before the store responded
	worked
	failed
)

// enter reports whether a call may be made, and whether it is a probe. The caller passes both back to leave.
func (b *breaker) enter() (probe, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakerFailures {
		return false, true
	}
	if b.probing || time.Now().Before(b.until) {
		return false, false
	}
	b.probing = true
	return true, true
}

func (b *breaker) leave(probe bool, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch v {
	case worked:
		b.failures = 0
	case failed:
		b.failures++
		b.until = time.Now().Add(breakerRest)
	}
}

// open reports whether calls are refused.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= breakerFailures
}
