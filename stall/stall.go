// Package stall runs calls that cannot be cancelled, such as those to a file system that may hang. Each has a goroutine
// of its own, and its caller leaves when its context ends. The number of such calls is bounded, so a file system that
// hangs takes that many threads and no more.
package stall

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// ErrStalled says that a call did not return in time, or was not begun because too many others have not returned. Test
// with errors.Is.
var ErrStalled = errors.New("stalled: an earlier call has not returned")

// Calls bounds calls that run at the same time. Safe for concurrent use. Make one with New.
type Calls struct {
	slots chan struct{}
	left  atomic.Int64
}

// New makes a Calls that runs at most n calls at a time.
func New(n int) *Calls { return &Calls{slots: make(chan struct{}, n)} }

// Left is the number of calls that still run although their callers have left.
func (c *Calls) Left() int { return int(c.left.Load()) }

// result is what a call returned.
type result[T any] struct {
	value T
	err   error
}

// Do runs call and returns what it returns. It leaves the call when ctx ends, and waits for a free place no longer than
// that. It refuses at once while every place is held by a call that was left. call must not touch what its caller uses
// after Do. A panic is returned as an error.
func Do[T any](ctx context.Context, c *Calls, call func() (T, error)) (T, error) {
	var none T
	if c.Left() >= cap(c.slots) {
		return none, ErrStalled
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return none, over(ctx)
	}
	var settled atomic.Bool // by the call's return or its caller's leaving, whichever comes first
	done := make(chan result[T], 1)
	go func() {
		defer func() { <-c.slots }()
		r := run(call)
		if !settled.CompareAndSwap(false, true) {
			c.left.Add(-1)
		}
		done <- r
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	c.left.Add(1) // before settling: the call may return at this moment, and takes 1 off
	if !settled.CompareAndSwap(false, true) {
		c.left.Add(-1)
		r := <-done
		return r.value, r.err
	}
	return none, over(ctx)
}

// over is the error of a caller that left. One that was cancelled says nothing about the call.
func over(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrStalled, ctx.Err())
	}
	return ctx.Err()
}

// run is call without its panics: in a goroutine of its own one would end the process.
func run[T any](call func() (T, error)) (r result[T]) {
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	r.value, r.err = call()
	return r
}
