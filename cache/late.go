package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// maxLate bounds the look-ups that continue after their time.
const maxLate = 64

// Late is the error of a look-up that the store has not answered in time. The call continues for as long as a write may
// take. If its entry comes while the variant is being fetched, it need not be made again.
type Late struct {
	done  chan struct{}
	entry Entry
	err   error
}

// Error implements error.
func (l *Late) Error() string { return "cache: get: the store has not responded in time" }

// Unwrap returns the reason.
func (l *Late) Unwrap() error { return context.DeadlineExceeded }

// Wait returns what the call returns, or the error of ctx if that ends first.
func (l *Late) Wait(ctx context.Context) (Entry, error) {
	select {
	case <-l.done:
		return l.entry, l.err
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	}
}

// get reads an entry from the store. The error is a *Late if the call continues.
func (t *Tiered) get(ctx context.Context, key string) (Entry, error) {
	probe, err := t.enterRead(ctx, "get")
	if err != nil {
		return Entry{}, err
	}
	v := unknown
	defer func() { t.reads.leave(probe, v) }()
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(t.cfg.Lookup, t.cfg.Timeout))
	l := &Late{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer cancel()
		l.entry, l.err = getSafely(own, t.store, key)
	}()
	budget := time.NewTimer(t.cfg.Lookup)
	defer budget.Stop()
	select {
	case <-l.done:
		if v = judge(ctx, l.err); l.err != nil && !errors.Is(l.err, ErrMiss) {
			return Entry{}, fmt.Errorf("cache: get: %w", l.err)
		}
		return l.entry, l.err
	case <-ctx.Done():
		cancel()
		return Entry{}, fmt.Errorf("cache: get: %w", ctx.Err())
	case <-budget.C:
	}
	v = overdue
	if t.late.Add(1) > maxLate {
		t.late.Add(-1)
		cancel()
		return Entry{}, fmt.Errorf("cache: get: %w", context.DeadlineExceeded)
	}
	go t.follow(own, l)
	return Entry{}, l
}

// follow tells the breaker that a late call has worked: the store is slow, not broken.
func (t *Tiered) follow(ctx context.Context, l *Late) {
	<-l.done
	t.late.Add(-1)
	if judge(ctx, l.err) == worked {
		t.reads.arrived()
	}
}

// getSafely is store.Get, with a panic as an error: in its own goroutine it would end the process.
func getSafely(ctx context.Context, store Store, key string) (e Entry, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return store.Get(ctx, key)
}
