package transform

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// startGrace is how long a new worker may take to become ready on a busy machine.
const startGrace = 5 * time.Second

// pulse measures how long workers have made nothing although there were requests. Times without requests do not count.
// Safe for concurrent use.
type pulse struct {
	now func() time.Time

	mu      sync.Mutex
	waiting int           // running calls of Transform
	since   time.Time     // while some wait: the start of that, or the last beat
	before  time.Duration // earlier waits since the last beat
}

// enter records the start of a call, leave its end.
func (p *pulse) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == 0 {
		p.since = p.now()
	}
	p.waiting++
}

func (p *pulse) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting--; p.waiting == 0 {
		p.before += p.now().Sub(p.since)
	}
}

// beat records that a worker made a variant, or found out why it cannot be made. Killing a worker is not a beat.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.before = p.now(), 0
}

// quiet is how long callers have waited since the last beat.
func (p *pulse) quiet() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == 0 {
		return p.before
	}
	return p.before + p.now().Sub(p.since)
}

// probe is a tiny picture on its way through the pool. err is written before done is closed.
type probe struct {
	done chan struct{}
	err  error
}

// Alive reports whether the workers make progress, for a supervisor that restarts the server if they do not. It returns
// at the latest when ctx ends. It returns nil if a tiny picture was made by then. If the picture's turn has not come,
// the pulse decides, since earlier requests are not a failure. A pool kills workers that were stopped from outside, or
// that take too long, and starts new ones. It is stuck if still nothing is made, not even the tiny picture, which stays
// queued when ctx ends. That is reported after two deadlines.
func (p *Pool) Alive(ctx context.Context) error {
	one := p.probe()
	select {
	case <-one.done:
		// One worker may have hung; the pulse tells whether all do.
		if kind := fault.KindOf(one.err); kind != fault.TransformTimeout && kind != fault.TooCostly {
			return one.err
		}
	case <-ctx.Done():
	}
	if quiet, most := p.pulse.quiet(), 2*p.cfg.Timeout+p.startGrace; quiet > most {
		return fault.New(fault.Overloaded, "transform.Alive", "no worker has made anything for a while",
			fmt.Errorf("waited for %v in all, want at most %v; %d workers, %d of them busy", quiet.Round(time.Millisecond), most, p.workers.Load(), p.busy.Load()))
	}
	return nil
}

// probe returns the running probe, or starts one.
func (p *Pool) probe() *probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probing != nil {
		return p.probing
	}
	one := &probe{done: make(chan struct{})}
	p.probing = one
	go func() {
		one.err = p.Check(p.life)
		p.mu.Lock()
		p.probing = nil
		p.mu.Unlock()
		close(one.done)
	}()
	return one
}
