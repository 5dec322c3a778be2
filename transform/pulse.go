package transform

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// startGrace is what a fresh worker may take until it is ready, on a busy machine.
const startGrace = 5 * time.Second

// pulse measures how long workers have made nothing of what they were asked. Pauses in which nobody asks do not count.
// Safe for concurrent use.
type pulse struct {
	now func() time.Time

	mu      sync.Mutex
	waiting int           // calls of Transform that are not answered yet
	since   time.Time     // while some wait: when that began, or the last beat
	before  time.Duration // of the waits before that, since the last beat
}

// enter notes that somebody waits, leave that they do not any more.
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

// beat notes that a worker made a variant, or found out why it cannot be made. That it had to be killed is none.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.before = p.now(), 0
}

// quiet is how long somebody has waited since the last beat.
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

// Alive reports whether the workers get anywhere, for those who restart a server that does not. It answers by the end
// of ctx: well if a tiny picture was made by then; if its turn has not come, by the pulse, since others who come before
// it are no fault. A pool whose workers are stopped from outside, or take too long, kills them itself and begins again;
// it is stuck where nothing is made all the same, not even the tiny picture, which stays in line when ctx ends. That is
// said after two deadlines.
func (p *Pool) Alive(ctx context.Context) error {
	one := p.probe()
	select {
	case <-one.done:
		// One worker may have hung; whether all do, the pulse tells.
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

// probe gives the tiny picture that is in line, or puts one there.
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
