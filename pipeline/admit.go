package pipeline

import (
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// firstTakes is how long light pieces, heavy ones, and heavy ones aside are expected to hold their places before any
// did.
var firstTakes = [3]time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second}

// bookedMost is how many pieces that are still being fetched count for each slot while nobody waits at the gate.
const bookedMost = 16

// heavyWork is the estimate from which on a picture counts as heavy: several times what most take.
const heavyWork = 300 * time.Millisecond

// What a megapixel takes a worker, about: read, by the format of the original, and written, by that of the variant.
var (
	readTakes = map[string]time.Duration{
		"jpeg": 4 * time.Millisecond, "webp": 15 * time.Millisecond, "gif": 15 * time.Millisecond, "png": 25 * time.Millisecond,
		"tiff": 15 * time.Millisecond, "bmp": 5 * time.Millisecond, "avif": 40 * time.Millisecond, "heic": 40 * time.Millisecond,
	}
	writeTakes = map[variant.Format]time.Duration{
		variant.JPEG: 15 * time.Millisecond, variant.PNG: 60 * time.Millisecond, variant.WebP: 80 * time.Millisecond,
		variant.GIF: 60 * time.Millisecond, variant.AVIF: 300 * time.Millisecond,
	}
)

// heavy reports whether a variant takes many times as long as most. Before its original is known, only what the URL
// says counts.
func heavy(s variant.Spec, original *origin.Original) bool {
	const mega = 1e6
	result := box(s) / mega
	work := time.Duration(0)
	if original != nil {
		pixels := float64(original.Info.Pixels()) / mega
		work = time.Duration(pixels * float64(readTakes[original.Info.Format]))
		if result == 0 || result > pixels && !s.Enlarge {
			result = pixels
		}
	}
	return work+time.Duration(result*float64(writeTakes[s.Format])) >= heavyWork
}

// box is how many pixels a spec asks for, by the look of its URL; 0 = as many as the original has.
func box(s variant.Spec) float64 {
	w, h := float64(s.Width), float64(s.Height)
	if w == 0 {
		w = h * 4 / 3
	}
	if h == 0 {
		h = w * 3 / 4
	}
	if s.ZoomX > 0 {
		w *= s.ZoomX
	}
	if s.ZoomY > 0 {
		h *= s.ZoomY
	}
	if s.DPR > 0 {
		w, h = w*s.DPR, h*s.DPR
	}
	return w * h
}

// weight is the index of a piece's figures.
func weight(heavy bool) int {
	if heavy {
		return 1
	}
	return 0
}

// asideTakes is the index among takes of pieces aside, which wait for the processor too.
const asideTakes = 2

// learn takes how long a piece held its place, and charges for it.
func (g *gate) learn(p *piece, held time.Duration) {
	t := &g.takes[weight(p.heavy)]
	if p.aside {
		t = &g.takes[asideTakes]
	}
	*t += (held - *t) / 8
	now := time.Now()
	for _, a := range p.accounts {
		if a != nil {
			a.charge(p, held, now)
		}
	}
}

// admit books a place for a viewer's piece that is not at the gate yet, or refuses it at once: where waiting for its
// turn would take more than half of the time that is left for it (the rest is for the fetch, the work, and an estimate
// that is wrong), or where viewers wait longer than they should. A group that comes at once may fill the queue; while
// somebody always waits, the queue's bound shrinks, twice as fast as the queue is worked off, down to patience. So
// whoever is served is served in time, no worker is ever idle, and when too many stop coming the queue is soon gone.
func (g *gate) admit(p *piece) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open(p)
	if err := g.check(p); err != nil {
		return err
	}
	g.booked[p] = struct{}{}
	return nil
}

// would is admit without a booking.
func (g *gate) would(p *piece) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.check(p)
}

// check is where admit decides. The lock is held.
func (g *gate) check(p *piece) error {
	wait := g.wait(p)
	if wait == 0 || p.deadline.IsZero() {
		return nil
	}
	most := time.Until(p.deadline) / 2
	if g.patience > 0 && !g.since.IsZero() {
		most = min(most, max(most-2*time.Since(g.since), g.patience))
	}
	if wait > most {
		return g.refuse(wait)
	}
	return nil
}

// unbook gives up a booked place that was not taken.
func (g *gate) unbook(p *piece) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(p)
}

// drop ends a booking. The lock is held.
func (g *gate) drop(p *piece) { delete(g.booked, p) }

// wait is how long a piece that comes now will wait for its slot, by what those before it are expected to take. The
// lock is held.
func (g *gate) wait(p *piece) time.Duration {
	booked, waiting := g.ahead(p)
	light, heavy := booked[0], booked[1]
	if g.viewers() == 0 { // Their originals come slowly, if there are many: they will not all be here at once.
		light, heavy = min(light, bookedMost*g.slots), min(heavy, bookedMost*g.slots/4)
	}
	light, heavy = light+waiting[0], heavy+waiting[1]
	inWork := g.running[0] + g.running[1]
	// Those in work are half done, on average.
	work := func(waiting, working int, takes time.Duration) time.Duration {
		return time.Duration(2*waiting+working) * takes / 2
	}
	lightWork := work(light, g.running[0], g.takes[0])
	switch {
	case g.keptForLight.on && p.heavy:
		if heavy+g.aside < g.asides {
			return 0
		}
		return work(heavy, g.aside, g.takes[asideTakes]) / time.Duration(g.asides)
	case g.keptForLight.on:
		if light+inWork < g.slots {
			return 0
		}
		held := min(g.running[1], g.slots-1) // The slots that come free later than others.
		wait := lightWork / time.Duration(g.slots-held)
		if g.running[1] == g.slots {
			wait += g.takes[1] / 2 / time.Duration(g.slots)
		}
		return wait
	case light+heavy+inWork < g.slots:
		return 0
	case !p.heavy:
		heavy = min(heavy, light/lightTurns) // It passes the others.
	}
	return (lightWork + work(heavy, g.running[1], g.takes[1])) / time.Duration(g.slots)
}

// refuse is the answer to a viewer who would wait too long; they are told to come back when most of those before them
// are served.
func (g *gate) refuse(wait time.Duration) error {
	g.obs.Refused(g.name)
	e := fault.New(fault.Overloaded, "pipeline.admit", "too many pictures are waiting; try again shortly", nil)
	e.RetryAfter = min(max(wait/2, time.Second), 30*time.Second)
	return e
}
