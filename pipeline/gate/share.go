package gate

import (
	"hash/maphash"
	"maps"
	"math"
	"time"
)

// The share of the workers that one source, or one signing key, may have while others want them too
// (docs/adr/0022-share-of-workers.md).
const (
	shareOf     = 2               // one source may hold one in so many slots, and places aside; at least one
	roomShare   = 4               // and one in so many places of the waiting room
	freeUse     = 2 * time.Second // recent use of the workers' time below which order of arrival counts
	muchUse     = 4               // a source waits for those that used so many times less
	useLife     = time.Minute     // used time counts for e times less after this time
	asideSlow   = 4               // a picture may take this many times as long aside
	maxAccounts = 4096            // known sources; beyond it idle ones are forgotten, those of little use first
)

// The accounts that a piece is charged to.
const (
	bySource = iota
	byKey
	payers // number of accounts
)

// account is the gate's record of one source, or one signing key, of viewers' requests. The gate's mutex guards it.
type account struct {
	spent  time.Duration // of workers' time, as of at
	at     time.Time
	takes  time.Duration // recent average of its pictures that look light; 0 = none was made
	slots  int           // that it holds
	asides int           // that it holds
}

// left is the part of the used time that still counts.
func (a *account) left(now time.Time) time.Duration {
	return time.Duration(float64(a.spent) * math.Exp(-float64(now.Sub(a.at))/float64(useLife)))
}

// used is left, or 0 if left is less than freeUse: little use counts as none. A nil account has used nothing.
func (a *account) used(now time.Time) time.Duration {
	if a == nil || a.spent == 0 {
		return 0
	}
	if left := a.left(now); left >= freeUse {
		return left
	}
	return 0
}

// dwarfs reports whether a used much of the workers' time, and many times as much as b. Those that used about as much
// keep the order of arrival. If every difference counted, the dearest of many equal sources would wait until an
// overload ends.
func (a *account) dwarfs(b *account, now time.Time) bool {
	used := a.used(now)
	return used > 0 && (b == nil || used > muchUse*b.left(now))
}

// dear reports whether its pictures are known to take many times as long as most.
func (a *account) dear() bool { return a.takes >= HeavyWork }

// charge adds the time of a piece.
func (a *account) charge(p *Piece, held time.Duration, now time.Time) {
	a.spent, a.at = a.left(now)+held, now
	if p.Heavy && !p.Dear {
		return // A long time was expected here, and says nothing about the source's other variants.
	}
	if p.Aside {
		held /= asideSlow
	}
	if a.takes == 0 {
		a.takes = max(held, 1)
	} else {
		a.takes += (held - a.takes) / 4
	}
}

// occupy adds by, which is 1 or -1, to the slots or places aside that a piece's accounts hold.
func (p *Piece) occupy(by int) {
	for _, a := range p.accounts {
		switch {
		case a == nil:
		case p.Aside:
			a.asides += by
		default:
			a.slots += by
		}
	}
}

// before reports whether a viewer's piece passes an earlier one: the other's source used many times as much of the
// workers' time, or neither source did and the other's signing key used many times as much.
func (p *Piece) before(q *Piece, now time.Time) bool {
	for by, mine := range p.accounts {
		switch other := q.accounts[by]; {
		case other.dwarfs(mine, now):
			return true
		case mine.dwarfs(other, now):
			return false
		}
	}
	return false
}

// visit is the last request with a signing key.
type visit struct {
	key *account
	at  time.Time
}

// ledger holds the accounts of a gate.
type ledger struct {
	seed     maphash.Seed
	accounts [payers]map[uint64]*account // by the hashes of sources and of key ids
	visits   [2]visit                    // the latest requests with two different signing keys
}

func newLedger() ledger {
	return ledger{seed: maphash.MakeSeed(), accounts: [payers]map[uint64]*account{{}, {}}}
}

// open finds the accounts of a viewer's piece. The lock is held.
func (g *Gate) open(p *Piece) {
	if p.Source == "" || p.accounts[bySource] != nil {
		return
	}
	now := time.Now()
	p.accounts = [payers]*account{g.account(bySource, p.Source, now), g.account(byKey, p.Key, now)}
	if key := p.accounts[byKey]; g.visits[0].key != key {
		g.visits[1], g.visits[0].key = g.visits[0], key
	}
	g.visits[0].at = now
}

// account finds or creates an account.
func (g *Gate) account(by int, name string, now time.Time) *account {
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

// Dear reports whether pictures of a source are known to take long although they do not look it.
func (g *Gate) Dear(source string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.accounts[bySource][maphash.String(g.seed, source)]
	return a != nil && a.dear()
}

// full reports whether a viewer's piece must leave the free slots to others. It must if its source holds its share of
// the slots, unless the source's pictures are known to be quick; an unknown source might take seconds. It must also if
// its signing key holds its share, takes long, and is not the only key that viewers use.
func (g *Gate) full(p *Piece, now time.Time) bool {
	source, key := p.accounts[bySource], p.accounts[byKey]
	share := g.cfg.Slots / shareOf
	if source == nil || share == 0 {
		return false
	}
	if source.slots >= share && (p.Heavy || source.takes == 0 || source.dear() || source.used(now) > 0) {
		return true
	}
	return key.slots >= share && key.dear() && g.shared(key, now)
}

// shared reports whether a viewer with another signing key came a moment ago.
func (g *Gate) shared(key *account, now time.Time) bool {
	other := g.visits[0]
	if other.key == key {
		other = g.visits[1]
	}
	return other.key != nil && now.Sub(other.at) < g.cfg.Hold
}

// seat reports whether there is a place for a piece, and records whether that is aside. A piece beyond its share of the
// slots goes aside, except while its source is unknown: the first picture will soon tell whether it is worth a worker
// aside.
func (g *Gate) seat(p *Piece, l line, now time.Time) (free bool) {
	p.Aside = false
	if l < heavyLine {
		return g.free(l)
	}
	if p.Aside = g.full(p, now) || l == heavyLine && g.keptForLight.on; !p.Aside {
		return g.running[0]+g.running[1] < g.cfg.Slots
	}
	source := p.accounts[bySource]
	switch {
	case g.aside >= g.asides:
		return false
	case source == nil:
		return true
	}
	return (p.Heavy || source.takes > 0) && source.asides < max(g.asides/shareOf, 1)
}

// passes reports whether q, which is booked or waits, gets its turn before p, which arrives now.
func (g *Gate) passes(q, p *Piece, now time.Time) bool {
	if q.accounts[bySource] == p.accounts[bySource] {
		return true
	}
	return !g.full(q, now) && !p.before(q, now)
}

// ahead counts the booked and the waiting pieces that get their turn before a piece that arrives now, by weight.
func (g *Gate) ahead(p *Piece) (booked, waiting [2]int) {
	now := time.Now()
	for q := range g.booked {
		if g.passes(q, p, now) {
			booked[weight(q.Heavy)]++
		}
	}
	for q := range g.viewing() {
		if g.passes(q, p, now) {
			waiting[weight(q.Heavy)]++
		}
	}
	return booked, waiting
}

// crowded reports whether the waiting room is full, or the part of it for the piece's source.
func (g *Gate) crowded(p *Piece) bool {
	if g.viewers() >= g.cfg.Room {
		return true
	}
	source, share, own := p.accounts[bySource], max(g.cfg.Room/roomShare, 1), 0
	if source == nil || g.viewers() < share {
		return false
	}
	for q := range g.viewing() {
		if q.accounts[bySource] == source {
			own++
		}
	}
	return own >= share
}
