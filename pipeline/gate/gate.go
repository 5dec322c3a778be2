// Package gate limits concurrent work and orders it by urgency: viewers before background work, without starving
// either.
package gate

import (
	"container/list"
	"context"
	"iter"
	"sync"
	"time"
)

// backgroundShare is the reciprocal share of grants for background work while viewers wait: one in ten, so that jobs
// end even under a constant load of viewers.
const backgroundShare = 10

// lightTurns is the number of light pictures that pass a waiting heavy one. Then the heavy one gets the next turn,
// however many light ones wait.
const lightTurns = 3

// ViewerHold is how long one slot is reserved for viewers after a viewer took one. After a light picture, all slots are
// also closed for that time to viewers' heavy pictures, which are then made aside. Viewers come in groups. Without this
// each would wait for background work, or for a picture that takes many times as long.
const ViewerHold = time.Second

// line is the queue in which a piece waits, the least urgent first.
type line int

const (
	upgradeLine line = iota
	warmLine
	heavyLine // viewers of heavy pictures
	lightLine // viewers of light pictures
	lines     // number of lines
)

// Piece is a piece of work for a gate.
type Piece struct {
	Urgency  *Urgency
	Heavy    bool
	Dear     bool      // it is heavy only because other pictures of its source were
	Deadline time.Time // of its waiting viewers; zero = no limit
	Source   string    // charged for it; "" = none
	Key      string    // id of the signing key that is charged for it
	Aside    bool      // it has a place aside, outside the slots; set by Enter

	accounts [payers]*account // nil while no viewer waits; guarded by the gate's mutex
}

// line is the queue for the piece at a rank.
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

// Gate admits work to a limited number of slots. Viewers go before background work, light pictures before heavy ones,
// each in order of arrival. Upgrades run only when no other piece waits and another slot stays free. Among viewers,
// pieces of a source or a signing key that recently used far more of the slots' time wait for the others, and one
// source holds no more than its share of the slots (see share.go). The viewers' waiting room is bounded in pieces and,
// by Admit, in time. So overload is refused early instead of answered late.
//
// One source does not keep the slots from others, however long its pictures take:
//  1. Four variants of source A are requested, and A is unknown. A1 takes one of two slots, which is A's share: A2 to
//     A4 wait although the other slot is free.
//  2. A viewer requests a picture of B. The waiting pieces cannot use the free slot, so B does not wait for them and
//     takes it.
//  3. B ends. The grant looks for a piece that may have the slot: not A2, because A1 still holds A's share; but C,
//     which came later, may.
//  4. A1 ends after seconds: A is now known to be dear. A2 was weighed before and is still light; it takes the slot. A3
//     goes aside, where no other piece waits for it.
//  5. New requests for A count as heavy from here on and wait in the heavy line. If A1 had ended quickly instead, A2
//     and A3 would have taken both slots.
type Gate struct {
	cfg Config

	mu     sync.Mutex
	asides int               // places outside the slots, for heavy pieces while the slots are reserved for light ones
	rooms  [lines]*list.List // of *waiter
	turns
	queued

	keptForViewers, keptForLight kept

	running [2]int // in the slots, by weight
	aside   int    // outside the slots

	forecast
	ledger
}

// turns counts grants, so that no piece starves.
type turns struct {
	grants int
	passed int // light pieces since the last turn of a waiting heavy one
}

// Config is the configuration of a gate.
type Config struct {
	Name  string
	Slots int
	Room  int // viewers that may wait
	// Patience bounds viewers' waiting time once there is always one waiting; 0 = only their deadlines bound it.
	Patience time.Duration
	Hold     time.Duration     // ViewerHold, or 0 to reserve no slots
	Refused  func(name string) // called for each refused viewer
}

// kept says that slots are reserved until a timer ends.
type kept struct {
	on   bool
	over *time.Timer
}

// waiter is one waiting call of Enter. Its fields are guarded by the gate's mutex; the grant closes ready.
type waiter struct {
	ready chan struct{}
	piece *Piece
	rank  Rank
	place *list.Element // nil once granted or gone
	give  func()        // releases the granted slot; set before ready is closed
}

// New returns a gate.
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

// Name is the name of the gate.
func (g *Gate) Name() string { return g.cfg.Name }

// Acquire is Enter for a light piece without a deadline.
func (g *Gate) Acquire(ctx context.Context, u *Urgency) (release func(), err error) {
	return g.Enter(ctx, &Piece{Urgency: u})
}

// Enter waits for a slot and returns its release, which must be called exactly once. It fails with overloaded if the
// viewers' waiting room is full or their deadline can no longer be met, and with ctx's error if ctx ends first.
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
			defer g.mu.Unlock()
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

// promote moves a waiter to the end of a more urgent queue. The viewers' bound does not apply, since the work is
// already there.
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

// viewers is the number of waiting viewers.
func (g *Gate) viewers() int { return g.rooms[heavyLine].Len() + g.rooms[lightLine].Len() }

// awaited reports whether another piece waits for the place that background work of that line might take. It is false
// for viewers: viewers that still wait could not use the free place, or it would have been granted to them.
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

// free reports whether there is a slot for background work. If there are two slots, an upgrade leaves one free for the
// next piece.
func (g *Gate) free(l line) bool {
	all := g.running[0] + g.running[1]
	if l == upgradeLine || g.keptForViewers.on {
		// Viewers' pieces aside count: background work would take their core.
		return all+g.aside < max(g.cfg.Slots-1, 1)
	}
	return all < g.cfg.Slots
}

// take occupies the place that seat found, and returns its release. A viewer's piece reserves another slot for viewers.
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
			held = 0 // it gave the slot back unused
		}
		g.release(p, held)
	}
}

// place is the counter of a granted piece.
func (g *Gate) place(p *Piece) *int {
	if p.Aside {
		return &g.aside
	}
	return &g.running[weight(p.Heavy)]
}

// keep starts or extends the reservation of slots.
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

// leave removes a waiter from its queue. If it was granted meanwhile, the grant is given back.
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

// release frees a piece's place and grants it to the next waiter. held is how long the piece worked; 0 = not at all.
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

// grant admits waiters while there are slots for them.
func (g *Gate) grant() {
	for w := g.next(); w != nil; w = g.next() {
		g.rooms[w.piece.line(w.rank)].Remove(w.place)
		w.place = nil
		w.give = g.take(w.piece, w.rank)
		close(w.ready)
	}
	g.note()
}

// next chooses the next waiter, if any may enter: a viewer first, but every tenth grant is offered to background work
// first; upgrades last.
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

// nextViewer is a light piece, but after lightTurns of them a heavy one.
func (g *Gate) nextViewer() *waiter {
	light, heavy := g.first(lightLine), g.first(heavyLine)
	if light == nil || heavy != nil && g.passed >= lightTurns {
		return heavy
	}
	return light
}

// first is the next waiter of a line; nil if none waits or there is no place for them.
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

// Load counts the pieces that hold a place, that wait, that wait only because their source or key uses its full share
// (Held), and that are booked.
type Load struct{ Running, Waiting, Held, Booked int }

// Load returns the current load.
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

// viewing iterates over the pieces of waiting viewers.
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
