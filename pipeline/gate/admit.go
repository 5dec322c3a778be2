package gate

import (
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// firstTakes is the expected duration of light pieces, heavy pieces, and heavy pieces aside, before any was measured.
var firstTakes = [3]time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second}

// forecast is the expected load of a gate.
type forecast struct {
	booked map[*Piece]struct{}
	takes  [3]time.Duration // recent average of how long a piece holds its place
}

// bookedMost is the maximum number of booked pieces that count per slot while no viewer waits at the gate.
const bookedMost = 16

// HeavyWork is the estimate from which a picture counts as Heavy: several times that of most pictures.
const HeavyWork = 300 * time.Millisecond

// weight is the index of light or heavy pieces in arrays.
func weight(heavy bool) int {
	if heavy {
		return 1
	}
	return 0
}

// asideTakes is the index in takes of pieces aside, which also wait for the processor.
const asideTakes = 2

// takesLife is the number of pieces over which each of takes is averaged. In an overload each low of the average lets
// more light pieces in than can be made in time, so theirs must be steady; the others are few, and vary more.
var takesLife = [3]time.Duration{32, 8, 8}

// learn records how long a piece held its place, and charges its accounts.
func (g *Gate) learn(p *Piece, held time.Duration) {
	kind := weight(p.Heavy)
	if p.Aside {
		kind = asideTakes
	}
	g.takes[kind] += (held - g.takes[kind]) / takesLife[kind]
	now := time.Now()
	for _, a := range p.accounts {
		if a != nil {
			a.charge(p, held, now)
		}
	}
}

// lull is the time after a refusal in which a new queue counts as the same overload, and not as a burst. Refused
// viewers come back together, one or two seconds later. Between two such groups the queue may be empty for a moment:
//  1. An overload has lasted for a while: the bound of the queue is Patience. Few viewers come for a moment, and the
//     last waiting one gets its slot.
//  2. The next group comes. As a burst it would get a queue of half of its deadlines, many times as long.
//  3. The overload ends. Normal viewers wait until that queue is worked off.
const lull = 2 * time.Second

// queued tells since when viewers wait, without gaps or with gaps soon after a refusal.
type queued struct {
	since, refused time.Time // refused is the time of the last refusal
	now            bool      // a viewer waits
}

// note records a change of the viewers' queues.
func (g *Gate) note() {
	waits := g.viewers() > 0
	if now := time.Now(); waits && !g.queued.now && now.Sub(g.queued.refused) >= lull {
		g.queued.since = now
	}
	g.queued.now = waits
}

// Admit books a place for a viewer's piece that is not at the gate yet, or refuses it at once. It refuses if the piece
// would wait for more than half of the time to its deadline; the rest is for the fetch, the work, and an error of the
// estimate. It also refuses if viewers already wait longer than they should. A burst may fill the queue. While viewers
// wait, the bound of the queue shrinks down to Patience, twice as fast as the queue is worked off.
// So admitted viewers are served in time, no worker is idle, and the queue is soon empty when the overload ends.
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

// check decides for Admit. The lock is held.
func (g *Gate) check(p *Piece) error {
	wait := g.wait(p)
	if wait == 0 || p.Deadline.IsZero() {
		return nil
	}
	most := time.Until(p.Deadline) / 2
	if g.cfg.Patience > 0 && g.queued.now {
		most = min(most, max(most-2*time.Since(g.queued.since), g.cfg.Patience))
	}
	if wait > most {
		return g.refuse(wait)
	}
	return nil
}

// Unbook cancels a booking that was not used.
func (g *Gate) Unbook(p *Piece) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(p)
}

// drop ends a booking. The lock is held.
func (g *Gate) drop(p *Piece) { delete(g.booked, p) }

// wait is the expected time until a piece that arrives now gets its slot, from the expected durations of the pieces
// before it. The lock is held.
func (g *Gate) wait(p *Piece) time.Duration {
	booked, waiting := g.ahead(p)
	light, heavy := booked[0], booked[1]
	if g.viewers() == 0 { // If many are booked, their originals arrive slowly and not all at once.
		light, heavy = min(light, bookedMost*g.cfg.Slots), min(heavy, bookedMost*g.cfg.Slots/4)
	}
	light, heavy = light+waiting[0], heavy+waiting[1]
	inWork := g.running[0] + g.running[1]
	// On average, running pieces are half done.
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
		held := min(g.running[1], g.cfg.Slots-1) // slots that become free later than the others
		wait := lightWork / time.Duration(g.cfg.Slots-held)
		if g.running[1] == g.cfg.Slots {
			wait += g.takes[1] / 2 / time.Duration(g.cfg.Slots)
		}
		return wait
	case light+heavy+inWork < g.cfg.Slots:
		return 0
	case !p.Heavy:
		heavy = min(heavy, light/lightTurns) // Light pieces pass the other heavy ones.
	}
	return (lightWork + work(heavy, g.running[1], g.takes[1])) / time.Duration(g.cfg.Slots)
}

// refuse is the error for a viewer that would wait too long. Its Retry-After is when most of the pieces before it will
// be done. The lock is held.
func (g *Gate) refuse(wait time.Duration) error {
	g.cfg.Refused(g.cfg.Name)
	g.queued.refused = time.Now()
	return fault.New(fault.Overloaded, "pipeline.admit", "too many pictures are waiting; try again shortly", nil).
		After(min(max(wait/2, time.Second), 30*time.Second))
}
