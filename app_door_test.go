package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
)

// Before the queue is open every call is refused as one that may come again.
func TestDoorRefusesWhileShut(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want fault.Kind
	}{
		{fmt.Errorf("the prewarm queue: %w", syscall.ENOSPC), fault.DiskFull},
		{&pathError{syscall.EROFS}, fault.DiskFull},
		{errors.New("nats: API error: description=write meta.inf: no space left on device"), fault.DiskFull},
		{errors.New("nats: no servers available for connection"), fault.Overloaded},
		{syscall.EACCES, fault.Overloaded},
	} {
		d := &door{}
		d.shut(tc.err)
		_, accept := d.Accept(t.Context(), "", "", [32]byte{}, prewarm.Call{})
		_, _, jobs := d.Jobs(t.Context(), prewarm.Caller{}, 1, "")
		_, _, results := d.Results(t.Context(), "j", prewarm.ResultFilter{}, "", 1)
		for name, err := range map[string]error{"Accept": accept, "Jobs": jobs, "Results": results, "Post": d.Post(t.Context(), strings.NewReader(""), nil)} {
			if f := fault.Of(err); f == nil || f.Kind != tc.want || f.RetryAfter == 0 || !f.Kind.Retryable() {
				t.Errorf("%v: %s: got %v, want %s", tc.err, name, err, tc.want)
			}
		}
	}
}

type pathError struct{ err error }

func (e *pathError) Error() string { return "open /queue: read-only" }
func (e *pathError) Unwrap() error { return e.err }
