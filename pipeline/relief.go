package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pressure"
)

// relief is what the pipeline gives up while memory is short. Safe for concurrent use.
type relief struct {
	mu   sync.Mutex
	step pressure.Step
	calm chan struct{} // closed while background work may begin
}

func newRelief() *relief {
	r := &relief{calm: make(chan struct{})}
	close(r.calm)
	return r
}

// Relieve takes a step of giving work up, or back. From NoPrewarm on nothing new is made in the background: Warm waits,
// old entries are not remade, upgrades rest. From CacheOnly on viewers get what is cached, and everything else is
// refused. What has begun ends.
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

// now is the present step.
func (r *relief) now() pressure.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step
}

// await returns when background work may begin, or ctx ends.
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

// retrySoon is when a caller is to try again where nobody knows how long it takes until there is room.
const retrySoon = 5 * time.Second

// errShort refuses a viewer while memory is short.
func errShort() error {
	return fault.New(fault.Overloaded, "pipeline.admit", "this server is short of memory; try again shortly", nil).
		After(retrySoon)
}
