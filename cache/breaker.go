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
	slow     time.Time // until when an overdue call is no failure: one that was overdue has worked
}

type verdict int

const (
	unknown verdict = iota // the caller left before the store responded
	worked
	failed
	overdue // the caller did not wait longer; the call continues
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
	switch now := time.Now(); {
	case v == worked:
		b.failures = 0
	case v == failed, v == overdue && now.After(b.slow):
		b.failures++
		b.until = now.Add(breakerRest)
	}
}

// arrived says that an overdue call has worked: the store is slow. For a while that is not counted as a failure.
func (b *breaker) arrived() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.slow = 0, time.Now().Add(breakerRest)
}

// open reports whether calls are refused.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= breakerFailures
}
