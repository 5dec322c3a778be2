// Package pressure watches the memory of the server and its workers, and says which step of giving work up it calls
// for.
package pressure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Step is how much work is given up. Each step includes those before it.
type Step int32

// The steps, in rising order.
const (
	Normal    Step = iota
	NoPrewarm      // nothing is made ahead of need
	CacheOnly      // what is not cached is refused
	Refuse         // everything is refused
)

// String is the step's word in logs and answers.
func (s Step) String() string {
	return [...]string{"normal", "no_prewarm", "cache_only", "refuse"}[s]
}

// The shares of the limit from which on a step holds, and how far below that it ends.
var shares = [...]float64{NoPrewarm: 0.80, CacheOnly: 0.90, Refuse: 0.95}

const slack = 0.05

// interval is the time between two samples, near the same from half of the limit on, of which a few pictures can take
// the rest in a tenth of a second, and calm how long memory must have been low before a step ends: memory that has just
// been given back is taken again by what was held back.
const (
	interval = 500 * time.Millisecond
	near     = 50 * time.Millisecond
	calm     = 3 * time.Second
)

// Gauge reads the memory in use and its limit, in bytes. A limit of 0 is none.
type Gauge func() (used, limit int64, err error)

// Level is what a sample found: the figures of the gauge that is closest to its limit.
type Level struct {
	Step        Step
	Used, Limit int64 // bytes; Limit 0 = there is none
}

// Watcher decides on the step. Safe for concurrent use.
type Watcher struct {
	gauges  []Gauge
	changed func(from Step, to Level)
	now     func() time.Time

	level atomic.Pointer[Level]

	mu  sync.Mutex
	low time.Time // since when the present step would not be reached again; zero = it would
}

// New makes a Watcher over gauges. changed is called at each change of the step, by whoever samples, one call at a
// time; now is the clock, nil = time.Now.
func New(gauges []Gauge, changed func(from Step, to Level), now func() time.Time) *Watcher {
	if now == nil {
		now = time.Now
	}
	w := &Watcher{gauges: gauges, changed: changed, now: now}
	w.level.Store(&Level{})
	return w
}

// Level is what the last sample found.
func (w *Watcher) Level() Level { return *w.level.Load() }

// Step is the present step.
func (w *Watcher) Step() Step { return w.level.Load().Step }

// Run samples until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		w.Sample()
		next := interval
		if l := w.Level(); l.Limit > 0 && l.Used >= l.Limit/2 {
			next = near
		}
		t.Reset(next)
	}
}

// Sample reads the gauges and decides. A step is taken at once and left only after memory has been clearly below its
// share for a while. A gauge that cannot be read says nothing; where none can, the step stays.
func (w *Watcher) Sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, worst, read := Level{}, -1.0, false
	for _, g := range w.gauges {
		used, limit, err := g()
		if err != nil {
			continue
		}
		read = true
		share := 0.0
		if limit > 0 {
			share = float64(used) / float64(limit)
		}
		if share > worst || share == worst && used > next.Used {
			worst, next.Used, next.Limit = share, used, limit
		}
	}
	if !read {
		return
	}
	was := w.Step()
	next.Step = w.decide(was, worst)
	w.level.Store(&next)
	if next.Step != was && w.changed != nil {
		w.changed(was, next)
	}
}

// decide is the step at a share of the limit, after another one.
func (w *Watcher) decide(was Step, share float64) Step {
	if to := reached(share); to >= was {
		w.low = time.Time{}
		return to
	}
	to := reached(share + slack)
	if to >= was {
		w.low = time.Time{}
		return was
	}
	now := w.now()
	if w.low.IsZero() || now.Before(w.low) { // It begins to be low, or the clock was set back.
		w.low = now
	}
	if now.Sub(w.low) < calm {
		return was
	}
	w.low = time.Time{}
	return to
}

// reached is the step that a share of the limit calls for.
func reached(share float64) Step {
	for s := Refuse; s > Normal; s-- {
		if share >= shares[s] {
			return s
		}
	}
	return Normal
}
