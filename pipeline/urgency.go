package pipeline

import "sync"

// rank says who waits for a piece of work, the least pressing first.
type rank int

const (
	upgrading rank = iota // nobody: a good answer is there already
	warming               // nobody yet: prewarm, and what is remade behind an answer
	viewing               // a viewer
	ranks                 // how many there are
)

// urgency is the rank of a piece of work. It only rises: background work that a viewer joins is viewers' work from then
// on. Safe for concurrent use.
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
