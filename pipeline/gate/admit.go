package gate

import (
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// firstTakes is how long light pieces, heavy ones, and heavy ones aside are expected to hold their places before any
// did.
var firstTakes = [3]time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second}

// forecast is what a gate expects to come, and how long that takes.
type forecast struct {
	booked map[*Piece]struct{}
	takes  [3]time.Duration // how long a piece holds its place, on average of late
}

// bookedMost is how many pieces that are still being fetched count for each slot while nobody waits at the gate.
const bookedMost = 16

// HeavyWork is the estimate from which on a picture counts as Heavy: several times what most take.
const HeavyWork = 300 * time.Millisecond

// weight is the index of a piece's figures.
func weight(heavy bool) int {
	if heavy {
		return 1
	}
	return 0
}

// asideTakes is the index among takes of pieces aside, which wait for the processor too.
const asideTakes = 2

// takesLife is over how many pieces the averages of what they take go.
const takesLife = 8

// learn takes how long a piece held its place, and charges for it.
func (g *Gate) learn(p *Piece, held time.Duration) {
	t := &g.takes[weight(p.Heavy)]
	if p.Aside {
		t = &g.takes[asideTakes]
	}
	*t += (held - *t) / takesLife
	now := time.Now()
	for _, a := range p.accounts {
		if a != nil {
			a.charge(p, held, now)
		}
	}
}

// Admit books a place for a viewer's piece that is not at the gate yet, or refuses it at once: where waiting for its
// turn would take more than half of the time that is left for it (the rest is for the fetch, the work, and an estimate
// that is wrong), or where viewers wait longer than they should. A group that comes at once may fill the queue; while
// somebody always waits, the queue's bound shrinks, twice as fast as the queue is worked off, down to patience. So
// whoever is served is served in time, no worker is ever idle, and when too many stop coming the queue is soon gone.
func (g *Gate) Admit(p *Piece) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open(p)
	if err := g.check(p); err != nil {
		return err
	}
	g.booked[p] = struct{}{}
	return nil
}

// Would is Admit without a booking.
func (g *Gate) Would(p *Piece) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.check(p)
}

// check is where Admit decides. The lock is held.
func (g *Gate) check(p *Piece) error {
	wait := g.wait(p)
	if wait == 0 || p.Deadline.IsZero() {
		return nil
	}
	most := time.Until(p.Deadline) / 2
	if g.cfg.Patience > 0 && !g.since.IsZero() {
		most = min(most, max(most-2*time.Since(g.since), g.cfg.Patience))
	}
	if wait > most {
		return g.refuse(wait)
	}
	return nil
}

// Unbook gives up a booked place that was not taken.
func (g *Gate) Unbook(p *Piece) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(p)
}

// drop ends a booking. The lock is held.
func (g *Gate) drop(p *Piece) { delete(g.booked, p) }

// wait is how long a piece that comes now will wait for its slot, by what those before it are expected to take. The
// lock is held.
func (g *Gate) wait(p *Piece) time.Duration {
	booked, waiting := g.ahead(p)
	light, heavy := booked[0], booked[1]
	if g.viewers() == 0 { // Their originals come slowly, if there are many: they will not all be here at once.
		light, heavy = min(light, bookedMost*g.cfg.Slots), min(heavy, bookedMost*g.cfg.Slots/4)
	}
	light, heavy = light+waiting[0], heavy+waiting[1]
	inWork := g.running[0] + g.running[1]
	// Those in work are half done, on average.
	work := func(waiting, working int, takes time.Duration) time.Duration {
		return time.Duration(2*waiting+working) * takes / 2
	}
	lightWork := work(light, g.running[0], g.takes[0])
	switch {
	case g.keptForLight.on && p.Heavy:
		if heavy+g.aside < g.asides {
			return 0
		}
		return work(heavy, g.aside, g.takes[asideTakes]) / time.Duration(g.asides)
	case g.keptForLight.on:
		if light+inWork < g.cfg.Slots {
			return 0
		}
		held := min(g.running[1], g.cfg.Slots-1) // The slots that come free later than others.
		wait := lightWork / time.Duration(g.cfg.Slots-held)
		if g.running[1] == g.cfg.Slots {
			wait += g.takes[1] / 2 / time.Duration(g.cfg.Slots)
		}
		return wait
	case light+heavy+inWork < g.cfg.Slots:
		return 0
	case !p.Heavy:
		heavy = min(heavy, light/lightTurns) // It passes the others.
	}
	return (lightWork + work(heavy, g.running[1], g.takes[1])) / time.Duration(g.cfg.Slots)
}

// refuse is the answer to a viewer who would wait too long; they are told to come back when most of those before them
// are served.
func (g *Gate) refuse(wait time.Duration) error {
	g.cfg.Refused(g.cfg.Name)
	return fault.New(fault.Overloaded, "pipeline.admit", "too many pictures are waiting; try again shortly", nil).
		After(min(max(wait/2, time.Second), 30*time.Second))
}
