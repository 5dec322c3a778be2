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

// urgency tells whether a viewer waits for a piece of work. It only rises: background work that a viewer joins is viewers'
// work from then on. Safe for concurrent use.
type urgency struct {
	mu     sync.Mutex
	viewer bool
	then   []func()
}

// raise marks the work as waited for by a viewer and tells everybody who asked to know, once.
func (u *urgency) raise() {
	u.mu.Lock()
	then := u.then
	u.viewer, u.then = true, nil
	u.mu.Unlock()
	for _, f := range then {
		f()
	}
}

// onRaise calls f when the urgency rises, at once if it already has.
func (u *urgency) onRaise(f func()) {
	u.mu.Lock()
	raised := u.viewer
	if !raised {
		u.then = append(u.then, f)
	}
	u.mu.Unlock()
	if raised {
		f()
	}
}

// isViewer reports whether a viewer waits.
func (u *urgency) isViewer() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.viewer
}

// gate admits work to a limited number of slots. Viewers pass before background work, in order of arrival within each; the
// viewers' waiting room is bounded, so that overload is refused early instead of answered late.
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
	viewers *list.List // of *waiter
	others  *list.List // of *waiter
}

// waiter is one acquire in a waiting room. Its fields are guarded by the gate's mutex; ready is closed by the grant.
type waiter struct {
	ready chan struct{}
	room  *list.List
	place *list.Element // nil once granted or gone
}

func newGate(name string, slots, room int, obs Observer) *gate {
	return &gate{name: name, slots: max(slots, 1), room: room, obs: obs, viewers: list.New(), others: list.New()}
}

// acquire waits for a slot and returns its release, which must be called exactly once. It fails with overloaded when the
// viewers' waiting room is full, and with ctx's error when that ends first.
func (g *gate) acquire(ctx context.Context, u *urgency) (release func(), err error) {
	viewer := u.isViewer()
	g.mu.Lock()
	if g.free(viewer) && g.viewers.Len() == 0 && (viewer || g.others.Len() == 0) {
		g.take(viewer)
		g.mu.Unlock()
		return g.release, nil
	}
	room := g.others
	if viewer {
		room = g.viewers
		if room.Len() >= g.room {
			g.mu.Unlock()
			g.obs.Refused(g.name)
			e := fault.New(fault.Overloaded, "pipeline.acquire", "too many pictures are waiting; try again shortly", nil)
			e.RetryAfter = time.Second
			return nil, e
		}
	}
	w := &waiter{ready: make(chan struct{}), room: room}
	w.place = room.PushBack(w)
	g.mu.Unlock()
	u.onRaise(func() { g.promote(w) })

	select {
	case <-w.ready:
		return g.release, nil
	case <-ctx.Done():
		g.leave(w)
		return nil, ctx.Err()
	}
}

// promote moves a waiter to the end of the viewers' room. The room's bound does not apply: the work is there already.
func (g *gate) promote(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place == nil || w.room == g.viewers {
		return
	}
	w.room.Remove(w.place)
	w.room = g.viewers
	w.place = g.viewers.PushBack(w)
	g.grant()
}

// free reports whether there is a slot for a viewer, or for background work.
func (g *gate) free(viewer bool) bool {
	if !viewer && g.kept {
		return g.running < g.slots-1
	}
	return g.running < g.slots
}

// take occupies a slot. A viewer's keeps another one for the next.
func (g *gate) take(viewer bool) {
	g.running++
	if !viewer || g.hold == 0 || g.slots == 1 {
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
		w.room.Remove(w.place)
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
		w.room.Remove(w.place)
		w.place = nil
		g.take(w.room == g.viewers)
		close(w.ready)
	}
}

// next chooses who passes, if anybody: a viewer, but every tenth grant is offered to background work first.
func (g *gate) next() *waiter {
	viewer, other := g.viewers.Front(), g.others.Front()
	if viewer != nil && !g.free(true) {
		viewer = nil
	}
	if other != nil && !g.free(false) {
		other = nil
	}
	if viewer == nil && other == nil {
		return nil
	}
	if g.grants++; viewer == nil || other != nil && g.grants%backgroundShare == 0 {
		return other.Value.(*waiter)
	}
	return viewer.Value.(*waiter)
}

// load reports how many hold a slot and how many wait.
func (g *gate) load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.viewers.Len() + g.others.Len()
}
