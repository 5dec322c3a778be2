package pipeline

import (
	"hash/maphash"
	"maps"
	"math"
	"time"
)

// What one source, and one signing key, may have of the workers while others want them too
// (docs/adr/0022-share-of-workers.md).
const (
	shareOf     = 2               // one source may hold one slot in so many, and one place aside in so many; one at least
	roomShare   = 4               // and one place in so many of the waiting room
	freeUse     = 2 * time.Second // who has used less of the workers' time lately waits in order of arrival
	useLife     = time.Minute     // what was used counts for e times less after so long
	asideSlow   = 4               // a picture may take so many times as long aside
	maxAccounts = 4096            // sources that are known; of those of little use some are forgotten past it
)

// The accounts that a piece is charged to.
const (
	bySource = iota
	byKey
	payers // how many there are
)

// account is what a gate knows of one source, or of one signing key, that viewers ask for pictures of. The gate's mutex
// guards it.
type account struct {
	spent  time.Duration // of workers' time, as of at
	at     time.Time
	takes  time.Duration // how long its pictures take that look light, on average of late; 0 = none was made
	slots  int           // that it holds
	asides int           // that it holds
}

// left is what still counts of the time that was spent.
func (a *account) left(now time.Time) time.Duration {
	return time.Duration(float64(a.spent) * math.Exp(-float64(now.Sub(a.at))/float64(useLife)))
}

// used is left as far as it matters: who has used little is equal to who has used nothing. A nil account has used
// nothing.
func (a *account) used(now time.Time) time.Duration {
	if a == nil || a.spent == 0 {
		return 0
	}
	if left := a.left(now); left >= freeUse {
		return left
	}
	return 0
}

// dear reports whether its pictures are known to take many times as long as most.
func (a *account) dear() bool { return a.takes >= heavyWork }

// charge adds what a piece took.
func (a *account) charge(p *piece, held time.Duration, now time.Time) {
	a.spent, a.at = a.left(now)+held, now
	if p.heavy && !p.dear {
		return // That it takes long was to be expected, and says nothing of the source's other variants.
	}
	if p.aside {
		held /= asideSlow
	}
	if a.takes == 0 {
		a.takes = max(held, 1)
	} else {
		a.takes += (held - a.takes) / 4
	}
}

// occupy adds a slot, or a place aside, to what a piece's payers hold; by is 1 or -1.
func (p *piece) occupy(by int) {
	for _, a := range p.accounts {
		switch {
		case a == nil:
		case p.aside:
			a.asides += by
		default:
			a.slots += by
		}
	}
}

// before reports whether a viewer's piece passes one that came earlier: its source has used less of the workers' time,
// or as little, and its signing key less.
func (p *piece) before(q *piece, now time.Time) bool {
	for by := range p.accounts {
		mine, other := p.accounts[by].used(now), q.accounts[by].used(now)
		if mine != other {
			return mine < other
		}
	}
	return false
}

// visit is when a viewer with a signing key came.
type visit struct {
	key *account
	at  time.Time
}

// open finds the accounts of a viewer's piece. The lock is held.
func (g *gate) open(p *piece) {
	if p.source == "" || p.accounts[bySource] != nil {
		return
	}
	now := time.Now()
	p.accounts = [payers]*account{g.account(bySource, p.source, now), g.account(byKey, p.key, now)}
	if key := p.accounts[byKey]; g.visits[0].key != key {
		g.visits[1], g.visits[0].key = g.visits[0], key
	}
	g.visits[0].at = now
}

// account finds or makes an account.
func (g *gate) account(by int, name string, now time.Time) *account {
	all, id := g.accounts[by], maphash.String(g.seed, name)
	a := all[id]
	if a != nil {
		return a
	}
	if len(all) >= maxAccounts {
		idle := func(a *account) bool { return a.slots+a.asides == 0 }
		maps.DeleteFunc(all, func(_ uint64, a *account) bool { return idle(a) && a.used(now) == 0 })
		maps.DeleteFunc(all, func(_ uint64, a *account) bool { return idle(a) && len(all) > maxAccounts/2 })
	}
	a = &account{}
	all[id] = a
	return a
}

// dear reports whether pictures of a source are known to take long although they do not look it.
func (g *gate) dear(source string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.accounts[bySource][maphash.String(g.seed, source)]
	return a != nil && a.dear()
}

// full reports whether a viewer's piece must leave the free slots to others. Its source has its share of them, unless
// its pictures are known to take little; one that nobody knows yet might take seconds. Or its signing key has its
// share, takes long, and is not the only one that viewers come with.
func (g *gate) full(p *piece, now time.Time) bool {
	source, key := p.accounts[bySource], p.accounts[byKey]
	share := g.slots / shareOf
	if source == nil || share == 0 {
		return false
	}
	if source.slots >= share && (p.heavy || source.takes == 0 || source.dear() || source.used(now) > 0) {
		return true
	}
	return key.slots >= share && key.dear() && g.shared(key, now)
}

// shared reports whether a viewer with another signing key came a moment ago.
func (g *gate) shared(key *account, now time.Time) bool {
	other := g.visits[0]
	if other.key == key {
		other = g.visits[1]
	}
	return other.key != nil && now.Sub(other.at) < g.hold
}

// seat reports whether there is a place for a piece, and whether that is one aside. What exceeds its share of the slots
// is made aside, unless nobody knows yet whether it is worth a worker there: then the first picture tells soon.
func (g *gate) seat(p *piece, l line, now time.Time) (free, aside bool) {
	if l < heavyLine {
		return g.free(l), false
	}
	full := g.full(p, now)
	if aside = full || l == heavyLine && g.keptForLight.on; !aside {
		return g.running[0]+g.running[1] < g.slots, false
	}
	source := p.accounts[bySource]
	switch {
	case g.aside >= g.asides:
		return false, true
	case source == nil:
		return true, true
	}
	return (p.heavy || source.takes > 0) && source.asides < max(g.asides/shareOf, 1), true
}

// passes reports whether q, which is booked or waits, will have its turn before p, which comes now.
func (g *gate) passes(q, p *piece, now time.Time) bool {
	if q.accounts[bySource] == p.accounts[bySource] {
		return true
	}
	return !g.full(q, now) && !p.before(q, now)
}

// ahead counts those who will have their turn before a piece that comes now, by weight: the booked ones, and those who
// wait.
func (g *gate) ahead(p *piece) (booked, waiting [2]int) {
	now := time.Now()
	for q := range g.booked {
		if g.passes(q, p, now) {
			booked[weight(q.heavy)]++
		}
	}
	for l := heavyLine; l < lines; l++ {
		for e := g.rooms[l].Front(); e != nil; e = e.Next() {
			if q := e.Value.(*waiter).piece; g.passes(q, p, now) {
				waiting[weight(q.heavy)]++
			}
		}
	}
	return booked, waiting
}

// held is how many viewers' pieces wait because their source or key has its share of the slots.
func (g *gate) held() (held int) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := heavyLine; l < lines; l++ {
		for e := g.rooms[l].Front(); e != nil; e = e.Next() {
			if g.full(e.Value.(*waiter).piece, now) {
				held++
			}
		}
	}
	return held
}

// crowded reports whether a viewer's piece finds the waiting room full, or its source's part of it.
func (g *gate) crowded(p *piece) bool {
	if g.viewers() >= g.room {
		return true
	}
	source, share, own := p.accounts[bySource], max(g.room/roomShare, 1), 0
	if source == nil || g.viewers() < share {
		return false
	}
	for l := heavyLine; l < lines; l++ {
		for e := g.rooms[l].Front(); e != nil; e = e.Next() {
			if e.Value.(*waiter).piece.accounts[bySource] == source {
				own++
			}
		}
	}
	return own >= share
}
