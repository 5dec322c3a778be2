// Package pressure watches the memory of the server and its workers, and says which step of reducing work it requires.
package pressure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Step is how much work is refused. Each step includes the earlier ones.
type Step int32

// The steps, in increasing order.
const (
	Normal    Step = iota
	NoPrewarm      // no background work
	CacheOnly      // uncached requests are refused
	Refuse         // everything is refused
)

// String is the step's name in logs and responses.
func (s Step) String() string {
	return [...]string{"normal", "no_prewarm", "cache_only", "refuse"}[s]
}

// The fractions of the limit from which on a step applies, and how far below that it ends.
var shares = [...]float64{NoPrewarm: 0.80, CacheOnly: 0.90, Refuse: 0.95}

const slack = 0.05

// interval is the time between two samples; near is the interval above half of the limit, where a few pictures can take
// the rest within a tenth of a second. calm is how long memory must be low before a step ends: freed memory is soon
// used again by the work that waited.
const (
	interval = 500 * time.Millisecond
	near     = 50 * time.Millisecond
	calm     = 3 * time.Second
)

// Gauge reads the memory in use and its limit, in bytes. A limit of 0 is none.
type Gauge func() (used, limit int64, err error)

// Level is the result of a sample: the values of the gauge that is closest to its limit.
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
	low time.Time // since when the current step would not be entered; zero = it would
}

// New makes a Watcher of gauges. Sample calls changed at each change of the step, one call at a time; now is the clock,
// nil = time.Now.
func New(gauges []Gauge, changed func(from Step, to Level), now func() time.Time) *Watcher {
	if now == nil {
		now = time.Now
	}
	w := &Watcher{gauges: gauges, changed: changed, now: now}
	w.level.Store(&Level{})
	return w
}

// Level is the result of the last sample.
func (w *Watcher) Level() Level { return *w.level.Load() }

// Step is the current step.
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

// Sample reads the gauges and decides. A step is entered at once and left only after memory has been clearly below its
// fraction for a while. A gauge that cannot be read is ignored; if none can, the step stays.
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

// decide returns the step at a fraction of the limit, after another step.
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
	if w.low.IsZero() || now.Before(w.low) { // memory has just become low, or the clock was set back
		w.low = now
	}
	if now.Sub(w.low) < calm {
		return was
	}
	w.low = time.Time{}
	return to
}

// reached is the step for a fraction of the limit.
func reached(share float64) Step {
	for s := Refuse; s > Normal; s-- {
		if share >= shares[s] {
			return s
		}
	}
	return Normal
}
