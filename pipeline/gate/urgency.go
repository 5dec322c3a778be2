package gate

import "sync"

// Rank says who waits for a piece of work, the least urgent first.
type Rank int

// The ranks.
const (
	Upgrading Rank = iota // nobody: a good variant already exists
	Warming               // nobody yet: prewarm, and entries remade in the background
	Viewing               // a viewer
)

// Urgency is the rank of a piece of work. It only rises: background work that a viewer joins becomes viewers' work.
// Safe for concurrent use.
type Urgency struct {
	mu   sync.Mutex
	rank Rank
	then []func(Rank)
}

// At returns an Urgency of a rank.
func At(r Rank) *Urgency { return &Urgency{rank: r} }

// Raise raises the rank, unless it is as high already, and calls the functions of OnRaise.
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

// OnRaise calls f with the current rank, and again with each higher one.
func (u *Urgency) OnRaise(f func(Rank)) {
	u.mu.Lock()
	u.then = append(u.then, f)
	now := u.rank
	u.mu.Unlock()
	f(now)
}

// Present is the current rank.
func (u *Urgency) Present() Rank {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rank
}
