// Package gate lets work in, in the order in which it presses: viewers before background work, and nobody for so long
// that others starve.
package gate

import (
	"container/list"
	"context"
	"iter"
	"sync"
	"time"
)

// backgroundShare is the reciprocal share of grants that background work gets while viewers wait: one in ten, so that
// jobs end even under a constant load of viewers.
const backgroundShare = 10

// lightTurns is how many light pictures pass a heavy one that waits: it gets the next turn, however many more there
// are.
const lightTurns = 3

// ViewerHold is how long one slot is kept from background work after a viewer took one, and all of them from viewers'
// heavy pictures, which are then made aside, after a light one did: viewers come in groups, and each would wait for a
// picture in work that nobody is waiting for, or for one that takes many times as long.
const ViewerHold = time.Second

// line is where a piece of work waits, the least pressing first.
type line int

const (
	upgradeLine line = iota
	warmLine
	heavyLine // viewers of what takes long
	lightLine // viewers of everything else
	lines     // how many there are
)

// Piece is a piece of work, as a gate sees it.
type Piece struct {
	Urgency  *Urgency
	Heavy    bool
	Dear     bool      // it is heavy because other pictures of its source were, and does not look it
	Deadline time.Time // of the viewers who wait for it; zero = they, or background work, wait as long as it takes
	Source   string    // that it is charged to; "" = to nobody
	Key      string    // the id of the signing key that it is charged to
	Aside    bool      // it has a place beside the slots; set by Enter

	accounts [payers]*account // nil where no viewer waits; guarded by the gate's mutex
}

// line is where the piece waits at a rank.
func (p *Piece) line(r Rank) line {
	switch {
	case r == Upgrading:
		return upgradeLine
	case r == Warming:
		return warmLine
	case p.Heavy:
		return heavyLine
	}
	return lightLine
}

// Gate admits work to a limited number of slots. Viewers pass before background work, light pictures before heavy ones,
// in order of arrival within each, and upgrades when nobody else waits and another slot stays free. Among viewers,
// those of a source or a signing key that took much of the slots' time lately wait for the others, and one source holds
// no more than its share of the slots (see share.go). The viewers' waiting room is bounded in pieces of work and, by
// Admit, in time, so that overload is refused early instead of answered late.
//
// One source does not keep the slots from others, whatever its pictures turn out to take:
//  1. Four variants of source A are asked for, and nobody knows A. A1 takes one of two slots, half of them: A2 to A4
//     wait though the other one is free.
//  2. A viewer of B comes. Whoever waits could not be let in, so B need not wait for them: it takes the free slot.
//  3. B ends. The grant looks for who may have the slot: not A2, which A1 still keeps out; C, who came later, may.
//  4. A1 ends after seconds: A is known to be dear. A2 was weighed before and is still light; it takes the slot, A3
//     goes aside, where it holds nobody up.
//  5. What is asked for of A from here on counts as heavy and waits in the heavy line. Had A1 ended after a moment
//     instead, A2 and A3 would have taken both slots.
type Gate struct {
	cfg Config

	mu     sync.Mutex
	asides int               // places beside the slots, for heavy pieces while the slots are kept for light ones
	rooms  [lines]*list.List // of *waiter
	turns
	since time.Time // from when on there has always been a viewer who waits; zero while there is none

	keptForViewers, keptForLight kept

	running [2]int // in the slots, by weight, see weight
	aside   int    // beside them

	forecast
	ledger
}

// turns counts those who were let in, so that nobody waits for ever.
type turns struct {
	grants int
	passed int // light pieces since a heavy one that waits had its turn
}

// Config says what a gate is made of.
type Config struct {
	Name  string
	Slots int
	Room  int // viewers that may wait
	// Patience is how long they may wait once there always is one who does; 0 = as far as their deadlines let them.
	Patience time.Duration
	Hold     time.Duration     // ViewerHold, or 0 where no slot is kept
	Refused  func(name string) // is told of each viewer who is refused
}

// kept says that slots are kept for some, until a timer ends it.
type kept struct {
	on   bool
	over *time.Timer
}

// waiter is one acquire in a waiting room. Its fields are guarded by the gate's mutex; ready is closed by the grant.
type waiter struct {
	ready chan struct{}
	piece *Piece
	rank  Rank
	place *list.Element // nil once granted or gone
	give  func()        // releases what was granted; set before ready is closed
}

// New makes a gate.
func New(cfg Config) *Gate {
	cfg.Slots = max(cfg.Slots, 1)
	g := &Gate{cfg: cfg, asides: max(cfg.Slots-1, 1),
		forecast: forecast{booked: map[*Piece]struct{}{}, takes: firstTakes}, ledger: newLedger(),
	}
	for l := range g.rooms {
		g.rooms[l] = list.New()
	}
	return g
}

// Name is what the gate is called.
func (g *Gate) Name() string { return g.cfg.Name }

// Acquire is Enter for a light piece without a deadline.
func (g *Gate) Acquire(ctx context.Context, u *Urgency) (release func(), err error) {
	return g.Enter(ctx, &Piece{Urgency: u})
}

// Enter waits for a slot and returns its release, which must be called exactly once. It fails with overloaded when the
// viewers' waiting room is full or their deadline cannot be met any more, and with ctx's error when that ends first.
func (g *Gate) Enter(ctx context.Context, p *Piece) (release func(), err error) {
	r := p.Urgency.Present()
	g.mu.Lock()
	g.drop(p)
	if r == Viewing {
		g.open(p)
	}
	l := p.line(r)
	if g.seat(p, l, time.Now()) && !g.awaited(l) {
		release = g.take(p, r)
		g.mu.Unlock()
		return release, nil
	}
	if r == Viewing {
		if wait := g.wait(p); g.crowded(p) || !p.Deadline.IsZero() && wait > time.Until(p.Deadline) {
			g.mu.Unlock()
			return nil, g.refuse(wait)
		}
	}
	w := &waiter{ready: make(chan struct{}), piece: p, rank: r}
	w.place = g.rooms[l].PushBack(w)
	g.note()
	g.mu.Unlock()
	p.Urgency.OnRaise(func(to Rank) { g.promote(w, to) })

	select {
	case <-w.ready:
		return w.give, nil
	case <-ctx.Done():
		g.leave(w)
		return nil, ctx.Err()
	}
}

// promote moves a waiter to the end of a more pressing room. The viewers' bound does not apply: the work is there
// already.
func (g *Gate) promote(w *waiter, to Rank) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place == nil || w.rank >= to {
		return
	}
	g.rooms[w.piece.line(w.rank)].Remove(w.place)
	if w.rank = to; to == Viewing {
		g.open(w.piece)
	}
	w.place = g.rooms[w.piece.line(to)].PushBack(w)
	g.note()
	g.grant()
}

// viewers is how many of them wait.
func (g *Gate) viewers() int { return g.rooms[heavyLine].Len() + g.rooms[lightLine].Len() }

// note keeps since after a change of the viewers' rooms.
func (g *Gate) note() {
	if g.viewers() == 0 {
		g.since = time.Time{}
	} else if g.since.IsZero() {
		g.since = time.Now()
	}
}

// awaited reports whether somebody waits for what background work of that line might take. Viewers who still wait could
// not have the place that is free, or they had been granted it.
func (g *Gate) awaited(l line) bool {
	if l >= heavyLine {
		return false
	}
	for ; l < lines; l++ {
		if g.rooms[l].Len() > 0 {
			return true
		}
	}
	return false
}

// free reports whether there is a slot for background work. An upgrade leaves one for whoever comes next, if there are
// two.
func (g *Gate) free(l line) bool {
	all := g.running[0] + g.running[1]
	if l == upgradeLine || g.keptForViewers.on {
		// What viewers wait for aside counts: background work would take its core.
		return all+g.aside < max(g.cfg.Slots-1, 1)
	}
	return all < g.cfg.Slots
}

// take occupies the place that seat found, and returns its release. A viewer's keeps another slot for the next.
func (g *Gate) take(p *Piece, r Rank) (release func()) {
	*g.place(p)++
	p.occupy(1)
	if r == Viewing && g.cfg.Hold > 0 {
		g.keep(&g.keptForViewers)
		if !p.Heavy {
			g.keep(&g.keptForLight)
		}
	}
	began := time.Now()
	return func() {
		held := time.Since(began)
		if r == Upgrading {
			held = 0 // It waited for a free slot and had no use for it.
		}
		g.release(p, held)
	}
}

// place is where a piece that was granted counts.
func (g *Gate) place(p *Piece) *int {
	if p.Aside {
		return &g.aside
	}
	return &g.running[weight(p.Heavy)]
}

// keep begins to keep a slot, or goes on to.
func (g *Gate) keep(k *kept) {
	k.on = true
	if k.over != nil {
		k.over.Reset(g.cfg.Hold)
		return
	}
	k.over = time.AfterFunc(g.cfg.Hold, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		k.on = false
		g.grant()
	})
}

// leave takes a waiter out of its room; a grant that came first is given back.
func (g *Gate) leave(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place != nil {
		g.rooms[w.piece.line(w.rank)].Remove(w.place)
		w.place = nil
		g.note()
		return
	}
	*g.place(w.piece)--
	w.piece.occupy(-1)
	g.grant()
}

// release gives a piece's place back and grants it to the next waiter. held is how long it was worked in; 0 = it was
// not.
func (g *Gate) release(p *Piece, held time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if held > 0 {
		g.learn(p, held)
	}
	*g.place(p)--
	p.occupy(-1)
	g.grant()
}

// grant lets waiters in as long as there are slots for them.
func (g *Gate) grant() {
	for w := g.next(); w != nil; w = g.next() {
		g.rooms[w.piece.line(w.rank)].Remove(w.place)
		w.place = nil
		w.give = g.take(w.piece, w.rank)
		close(w.ready)
	}
	g.note()
}

// next chooses who passes, if anybody: a viewer, but every tenth grant is offered to background work first; an upgrade
// last.
func (g *Gate) next() *waiter {
	viewer, other := g.nextViewer(), g.first(warmLine)
	if viewer == nil && other == nil {
		return g.first(upgradeLine)
	}
	if g.grants++; viewer == nil || other != nil && g.grants%backgroundShare == 0 {
		return other
	}
	if viewer.piece.Heavy {
		g.passed = 0
	} else if g.rooms[heavyLine].Len() > 0 {
		g.passed++
	}
	return viewer
}

// nextViewer is a light one as a rule, and after a few of them a heavy one.
func (g *Gate) nextViewer() *waiter {
	light, heavy := g.first(lightLine), g.first(heavyLine)
	if light == nil || heavy != nil && g.passed >= lightTurns {
		return heavy
	}
	return light
}

// first is whose turn it is in a line, nil where nobody waits or no place is free for them.
func (g *Gate) first(l line) (first *waiter) {
	now := time.Now()
	for e := g.rooms[l].Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if first != nil && !w.piece.before(first.piece, now) {
			continue
		}
		if g.seat(w.piece, l, now) {
			first = w
		}
	}
	return first
}

// Load tells how many hold a place, how many wait, how many of these could have a slot if their source or key had not
// its share, and how many have booked one.
type Load struct{ Running, Waiting, Held, Booked int }

// Load reports the present load.
func (g *Gate) Load() Load {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	l := Load{Running: g.running[0] + g.running[1] + g.aside, Booked: len(g.booked)}
	for _, room := range g.rooms {
		l.Waiting += room.Len()
	}
	for p := range g.viewing() {
		if g.full(p, now) {
			l.Held++
		}
	}
	return l
}

// viewing are the pieces of viewers who wait.
func (g *Gate) viewing() iter.Seq[*Piece] {
	return func(yield func(*Piece) bool) {
		for _, room := range []*list.List{g.rooms[heavyLine], g.rooms[lightLine]} {
			for e := room.Front(); e != nil; e = e.Next() {
				if !yield(e.Value.(*waiter).piece) {
					return
				}
			}
		}
	}
}
