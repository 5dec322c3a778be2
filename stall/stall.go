// Package stall runs calls that cannot be cancelled, such as those to a file system that may hang. Each has its own
// goroutine, and its caller abandons it when its context ends. The number of such calls is limited, so a hanging file
// system takes at most that many threads.
package stall

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// ErrStalled says that a call did not return in time, or was not started because too many others have not returned.
// Test with errors.Is.
var ErrStalled = errors.New("stalled: an earlier call has not returned")

// Calls limits concurrent calls. Safe for concurrent use. Make one with New.
type Calls struct {
	slots chan struct{}
	left  atomic.Int64
}

// New makes a Calls with at most n concurrent calls.
func New(n int) *Calls { return &Calls{slots: make(chan struct{}, n)} }

// Left is the number of abandoned calls that still run.
func (c *Calls) Left() int { return int(c.left.Load()) }

// result is what a call returned.
type result[T any] struct {
	value T
	err   error
}

// Do runs call and returns its result. It abandons the call when ctx ends, and waits for a free slot no longer than
// that. It refuses at once while every slot is held by an abandoned call. call must not touch what its caller uses
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
	var settled atomic.Bool // set by the call's return or its caller's leaving, whichever comes first
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
	c.left.Add(1) // before settling: the call may return at this moment and subtracts 1
	if !settled.CompareAndSwap(false, true) {
		c.left.Add(-1)
		r := <-done
		return r.value, r.err
	}
	return none, over(ctx)
}

// over is the error of a caller that left. If it was cancelled, that says nothing about the call.
func over(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrStalled, ctx.Err())
	}
	return ctx.Err()
}

// run is call with panics recovered: in its own goroutine a panic would end the process.
func run[T any](call func() (T, error)) (r result[T]) {
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	r.value, r.err = call()
	return r
}
