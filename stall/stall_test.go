package stall

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A call that returns in time gives its own result, and a panic is an error.
func TestDo(t *testing.T) {
	c, bad := New(1), errors.New("bad")
	for _, tt := range []struct {
		name string
		call func() (int, error)
		want int
		err  string
	}{
		{"a value", func() (int, error) { return 7, nil }, 7, ""},
		{"an error", func() (int, error) { return 0, bad }, 0, "bad"},
		{"a panic", func() (int, error) { panic("oops") }, 0, "panic: oops"},
	} {
		got, err := Do(t.Context(), c, tt.call)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s: got %d, %v", tt.name, got, err)
		}
	}
	if c.Left() != 0 {
		t.Errorf("%d calls were left, want none", c.Left())
	}
}

// Callers of calls that hang leave in time; when all places hang nobody waits; and all is well when they return.
func TestCallsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 3
		c, healed := New(places), make(chan struct{})
		hang := func() (int, error) { <-healed; return 1, nil }
		within := func(d time.Duration, call func() (int, error)) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			began := time.Now()
			_, err := Do(ctx, c, call)
			return time.Since(began), err
		}
		for n := range places {
			took, err := within(time.Second, hang)
			if took != time.Second || !errors.Is(err, ErrStalled) || !errors.Is(err, context.DeadlineExceeded) || c.Left() != n+1 {
				t.Errorf("call %d: %v after %v, %d left", n, err, took, c.Left())
			}
		}
		called := false
		if took, err := within(time.Second, func() (int, error) { called = true; return 0, nil }); took != 0 || !errors.Is(err, ErrStalled) || called {
			t.Errorf("with every place held by a call that hangs: %v after %v, called %v", err, took, called)
		}
		close(healed)
		synctest.Wait()
		if c.Left() != 0 {
			t.Errorf("%d calls are left after all have returned", c.Left())
		}
		if got, err := Do(t.Context(), c, hang); got != 1 || err != nil {
			t.Errorf("afterwards: %d, %v", got, err)
		}
	})
}

// A caller waits for a place that is in use by a call with a caller of its own, and is not told of a stall when it was
// cancelled.
func TestWaitingForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proceed := New(1), make(chan struct{})
		go Do(t.Context(), c, func() (int, error) { <-proceed; return 0, nil }) //nolint:errcheck // it has none
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := Do(ctx, c, func() (int, error) { return 0, nil }); !errors.Is(err, context.Canceled) || errors.Is(err, ErrStalled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		time.AfterFunc(time.Second, func() { close(proceed) })
		if got, err := Do(t.Context(), c, func() (int, error) { return 5, nil }); got != 5 || err != nil || c.Left() != 0 {
			t.Errorf("got %d, %v; %d left", got, err, c.Left())
		}
	})
}

// The end of a call and of its caller's time may come at the same moment: the count of calls that were left comes to 0
// again all the same.
func TestCountIsZeroWhenCallAndCallerEndTogether(t *testing.T) {
	c := New(4)
	for range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		_, _ = Do(ctx, c, func() (int, error) { cancel(); return 0, nil })
	}
	for range cap(c.slots) { // all have returned
		c.slots <- struct{}{}
	}
	if c.Left() != 0 {
		t.Errorf("%d calls are left, want none", c.Left())
	}
}
