package gate

import "sync"

// Rank says who waits for a piece of work, the least pressing first.
type Rank int

// The ranks.
const (
	Upgrading Rank = iota // nobody: a good answer is there already
	Warming               // nobody yet: prewarm, and what is remade behind an answer
	Viewing               // a viewer
)

// Urgency is the rank of a piece of work. It only rises: background work that a viewer joins is viewers' work from then
// on. Safe for concurrent use.
type Urgency struct {
	mu   sync.Mutex
	rank Rank
	then []func(Rank)
}

// At is the urgency of work of a rank.
func At(r Rank) *Urgency { return &Urgency{rank: r} }

// Raise lifts the work to a rank, unless it is there or higher, and tells everybody who asked to know.
func (u *Urgency) Raise(to Rank) {
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

// OnRaise calls f with the present rank, and again with each higher one.
func (u *Urgency) OnRaise(f func(Rank)) {
	u.mu.Lock()
	u.then = append(u.then, f)
	now := u.rank
	u.mu.Unlock()
	f(now)
}

// Present is the rank by now.
func (u *Urgency) Present() Rank {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rank
}
