package transform

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
)

// admission bounds the decoded bytes of all pictures in work, first come, first served. It uses the estimate from the
// header, which is an upper bound: memory is reserved before a worker touches a pixel.
type admission struct {
	total int64
	used  atomic.Int64 // admitted and not yet released
	free  *semaphore.Weighted
}

func newAdmission(total int64) *admission {
	return &admission{total: total, free: semaphore.NewWeighted(total)}
}

// admit waits until bytes are free and returns the function that releases them. A picture that needs more than the
// whole budget is refused, not admitted alone: the budget is a hard limit for the operator.
func (a *admission) admit(ctx context.Context, bytes int64) (release func(), waited time.Duration, err error) {
	if bytes > a.total {
		return nil, 0, fault.New(fault.TooManyPixels, "transform.admit", "the picture needs more memory than this server spends on one",
			fmt.Errorf("%d bytes decoded, image_memory is %d", bytes, a.total))
	}
	begin := time.Now()
	if err := a.free.Acquire(ctx, bytes); err != nil {
		return nil, time.Since(begin), contextFault(ctx)
	}
	a.used.Add(bytes)
	return func() { a.used.Add(-bytes); a.free.Release(bytes) }, time.Since(begin), nil
}

// contextFault is the fault of a caller whose context ended while it waited.
func contextFault(ctx context.Context) error {
	cause := context.Cause(ctx)
	f := fault.Of(ctx.Err())
	return fault.New(f.Kind, "transform.Transform", f.Public, cause)
}
