package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	maxLate    = 64                     // calls that continue after their look-ups
	secondCall = 100 * time.Millisecond // pause before a failed call is repeated
)

// Late is the error of a look-up that the store has not answered in time, or with an error. The call continues, or is
// repeated once, for as long as a write may take. If its entry comes while the variant is being fetched, it need not be
// made again.
type Late struct {
	cause error // of the look-up's failure
	done  chan struct{}
	entry Entry
	err   error
}

// Error implements error.
func (l *Late) Error() string { return "cache: get: " + l.cause.Error() }

// Unwrap returns the reason.
func (l *Late) Unwrap() error { return l.cause }

// Wait returns what the call returns, or the error of ctx if that ends first.
func (l *Late) Wait(ctx context.Context) (Entry, error) {
	select {
	case <-l.done:
		return l.entry, l.err
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	}
}

// get reads an entry from the store. The error is a *Late if the store may still have it.
func (t *Tiered) get(ctx context.Context, key string) (Entry, error) {
	probe, err := t.enterRead(ctx, "get")
	if err != nil {
		return Entry{}, err
	}
	v := unknown
	defer func() { t.reads.leave(probe, v) }()
	l, cancel := t.call(ctx, key, 0)
	budget := time.NewTimer(t.cfg.Lookup)
	defer budget.Stop()
	select {
	case <-l.done:
		switch v = judge(ctx, l.err); {
		case v == failed:
			second, cancel := t.call(ctx, key, secondCall)
			return Entry{}, t.follow(second, l.err, cancel)
		case v == unknown:
			return Entry{}, fmt.Errorf("cache: get: %w", l.err)
		}
		return l.entry, l.err
	case <-ctx.Done():
		cancel()
		return Entry{}, fmt.Errorf("cache: get: %w", ctx.Err())
	case <-budget.C:
		v = overdue
		return Entry{}, t.follow(l, context.DeadlineExceeded, cancel)
	}
}

// call reads an entry in a goroutine of its own, after a pause.
func (t *Tiered) call(ctx context.Context, key string, after time.Duration) (l *Late, cancel func()) {
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), max(t.cfg.Lookup, t.cfg.Timeout))
	l = &Late{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer cancel()
		if after > 0 {
			select {
			case <-time.After(after):
			case <-ctx.Done():
			}
		}
		l.entry, l.err = getSafely(ctx, t.store, key)
	}()
	return l, cancel
}

// follow lets a call continue and returns it, or cancels it if too many continue already. A late call that works tells
// the breaker that the store is slow, not broken.
func (t *Tiered) follow(l *Late, cause error, cancel func()) error {
	if t.late.Add(1) > maxLate {
		t.late.Add(-1)
		cancel()
		return fmt.Errorf("cache: get: %w", cause)
	}
	l.cause = cause
	go func() {
		<-l.done
		t.late.Add(-1)
		if l.err == nil || errors.Is(l.err, ErrMiss) {
			t.reads.arrived()
		}
	}()
	return l
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
