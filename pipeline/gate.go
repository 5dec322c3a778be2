package pipeline

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// backgroundShare is the reciprocal share of grants that background work gets while viewers wait: one in ten, so that jobs
// end even under a constant load of viewers.
const backgroundShare = 10

// viewerHold is how long one slot is kept from background work after a viewer took one: viewers come in groups, and each would
// wait for a picture in work that nobody is waiting for.
const viewerHold = time.Second

// rank says who waits for a piece of work, the least pressing first.
type rank int

const (
	upgrading rank = iota // nobody: a good answer is there already
	warming               // nobody yet: prewarm, and what is remade behind an answer
	viewing               // a viewer
	ranks                 // how many there are
)

// urgency is the rank of a piece of work. It only rises: background work that a viewer joins is viewers' work from then on.
// Safe for concurrent use.
type urgency struct {
	mu   sync.Mutex
	rank rank
	then []func(rank)
}

// raise lifts the work to a rank, unless it is there or higher, and tells everybody who asked to know.
func (u *urgency) raise(to rank) {
	u.mu.Lock()
	if to <= u.rank {
		u.mu.Unlock()
		return
	}
	u.rank = to
	then := u.then
	u.mu.Unlock()
	for _, f := range then {
		f(to)
	}
}

// onRaise calls f with the present rank, and again with each higher one.
func (u *urgency) onRaise(f func(rank)) {
	u.mu.Lock()
	u.then = append(u.then, f)
	now := u.rank
	u.mu.Unlock()
	f(now)
}

// present is the rank by now.
func (u *urgency) present() rank {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rank
}

// gate admits work to a limited number of slots. Viewers pass before background work, in order of arrival within each, and
// upgrades when nobody else waits and another slot stays free; the viewers' waiting room is bounded, so that overload is refused
// early instead of answered late.
type gate struct {
	name string
	room int // viewers that may wait
	obs  Observer
	hold time.Duration // viewerHold, or 0 where no slot is kept

	mu      sync.Mutex
	kept    bool        // one slot is kept for viewers
	over    *time.Timer // ends that
	slots   int
	running int
	grants  int
	rooms   [ranks]*list.List // of *waiter
}

// waiter is one acquire in a waiting room. Its fields are guarded by the gate's mutex; ready is closed by the grant.
type waiter struct {
	ready chan struct{}
	rank  rank
	place *list.Element // nil once granted or gone
}

func newGate(name string, slots, room int, obs Observer) *gate {
	return &gate{name: name, slots: max(slots, 1), room: room, obs: obs, rooms: [ranks]*list.List{list.New(), list.New(), list.New()}}
}

// acquire waits for a slot and returns its release, which must be called exactly once. It fails with overloaded when the
// viewers' waiting room is full, and with ctx's error when that ends first.
func (g *gate) acquire(ctx context.Context, u *urgency) (release func(), err error) {
	r := u.present()
	g.mu.Lock()
	if g.free(r) && !g.awaited(r) {
		g.take(r)
		g.mu.Unlock()
		return g.release, nil
	}
	if r == viewing && g.rooms[viewing].Len() >= g.room {
		g.mu.Unlock()
		g.obs.Refused(g.name)
		e := fault.New(fault.Overloaded, "pipeline.acquire", "too many pictures are waiting; try again shortly", nil)
		e.RetryAfter = time.Second
		return nil, e
	}
	w := &waiter{ready: make(chan struct{}), rank: r}
	w.place = g.rooms[r].PushBack(w)
	g.mu.Unlock()
	u.onRaise(func(to rank) { g.promote(w, to) })

	select {
	case <-w.ready:
		return g.release, nil
	case <-ctx.Done():
		g.leave(w)
		return nil, ctx.Err()
	}
}

// promote moves a waiter to the end of a more pressing room. The viewers' bound does not apply: the work is there already.
func (g *gate) promote(w *waiter, to rank) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place == nil || w.rank >= to {
		return
	}
	g.rooms[w.rank].Remove(w.place)
	w.rank = to
	w.place = g.rooms[to].PushBack(w)
	g.grant()
}

// awaited reports whether work of that rank or a higher one waits.
func (g *gate) awaited(r rank) bool {
	for ; r < ranks; r++ {
		if g.rooms[r].Len() > 0 {
			return true
		}
	}
	return false
}

// free reports whether there is a slot for work of that rank. An upgrade leaves one for whoever comes next, if there are two.
func (g *gate) free(r rank) bool {
	if r == upgrading || r == warming && g.kept {
		return g.running < max(g.slots-1, 1)
	}
	return g.running < g.slots
}

// take occupies a slot. A viewer's keeps another one for the next.
func (g *gate) take(r rank) {
	g.running++
	if r != viewing || g.hold == 0 || g.slots == 1 {
		return
	}
	g.kept = true
	if g.over == nil {
		g.over = time.AfterFunc(g.hold, g.unkeep)
	} else {
		g.over.Reset(g.hold)
	}
}

// unkeep ends the keeping of a slot.
func (g *gate) unkeep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept = false
	g.grant()
}

// leave takes a waiter out of its room; a grant that came first is given back.
func (g *gate) leave(w *waiter) {
	g.mu.Lock()
	if w.place != nil {
		g.rooms[w.rank].Remove(w.place)
		w.place = nil
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	g.release()
}

// release gives a slot back and grants it to the next waiter.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.grant()
}

// grant lets waiters in as long as there are slots for them.
func (g *gate) grant() {
	for w := g.next(); w != nil; w = g.next() {
		g.rooms[w.rank].Remove(w.place)
		w.place = nil
		g.take(w.rank)
		close(w.ready)
	}
}

// next chooses who passes, if anybody: a viewer, but every tenth grant is offered to background work first; an upgrade last.
func (g *gate) next() *waiter {
	viewer, other := g.first(viewing), g.first(warming)
	if viewer == nil && other == nil {
		return g.first(upgrading)
	}
	if g.grants++; viewer == nil || other != nil && g.grants%backgroundShare == 0 {
		return other
	}
	return viewer
}

// first is who waits longest in a room, nil where nobody does or no slot is free for them.
func (g *gate) first(r rank) *waiter {
	e := g.rooms[r].Front()
	if e == nil || !g.free(r) {
		return nil
	}
	return e.Value.(*waiter)
}

// load reports how many hold a slot and how many wait.
func (g *gate) load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, room := range g.rooms {
		waiting += room.Len()
	}
	return g.running, waiting
}
