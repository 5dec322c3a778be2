package cache

import (
	"context"
	"sync"
)

// pending bounds the bytes waiting to be written. Unlike a weighted semaphore it lets a caller that does not wait go
// before those that do: a viewer's small write must not be dropped because a large prewarm write waits.
type pending struct {
	max   int64
	mu    sync.Mutex
	used  int64
	freed chan struct{} // closed, and replaced, when bytes are freed
}

func newPending(max int64) *pending { return &pending{max: max, freed: make(chan struct{})} }

// tryAcquire acquires n bytes, or returns a channel that is closed when it is worth trying again. n may exceed the
// bound if nothing else is pending.
func (p *pending) tryAcquire(n int64) (ok bool, retry <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used > 0 && p.used+n > p.max {
		return false, p.freed
	}
	p.used += n
	return true, nil
}

func (p *pending) acquire(ctx context.Context, n int64) error {
	for {
		ok, retry := p.tryAcquire(n)
		if ok {
			return nil
		}
		select {
		case <-retry:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pending) release(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= n
	close(p.freed)
	p.freed = make(chan struct{})
}
