package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pressure"
)

// relief holds back work while memory is short. Safe for concurrent use.
type relief struct {
	mu   sync.Mutex
	step pressure.Step
	calm chan struct{} // closed while background work may start
}

func newRelief() *relief {
	r := &relief{calm: make(chan struct{})}
	close(r.calm)
	return r
}

// Relieve sets the current step. From NoPrewarm on no background work starts: Warm waits, old entries are not remade,
// upgrades wait. From CacheOnly on viewers get only cached variants, and everything else is refused. Running work
// continues.
func (p *Pipeline) Relieve(step pressure.Step) {
	r := p.relief
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.step
	r.step = step
	switch {
	case was == pressure.Normal && step > pressure.Normal:
		r.calm = make(chan struct{})
	case was > pressure.Normal && step == pressure.Normal:
		close(r.calm)
	}
}

// now returns the current step.
func (r *relief) now() pressure.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step
}

// await returns when background work may start, or ctx ends.
func (r *relief) await(ctx context.Context) error {
	r.mu.Lock()
	calm := r.calm
	r.mu.Unlock()
	select {
	case <-calm:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retrySoon is the Retry-After when it is unknown how long the overload lasts.
const retrySoon = 5 * time.Second

// errShort refuses a viewer while memory is short.
func errShort() error {
	return fault.New(fault.Overloaded, "pipeline.admit", "this server is short of memory; try again shortly", nil).
		After(retrySoon)
}
