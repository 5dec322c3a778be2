package cache

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Purges are remembered for longer than a write from before them can take to arrive, and at most this many prefixes.
const (
	purgesKept = 24 * time.Hour
	maxPurges  = 1 << 17
)

// Purges holds the purges that one instance knows. An entry is purged if its key has a purged prefix and its Generation
// is older than that purge. So an entry from before a purge is a miss wherever and whenever it appears: in the memory
// of another instance, or in the store after a write whose caller had given up.
//
// A purge has three steps, which may run on different instances:
//  1. Begin, on every instance: older entries are misses and their writes are refused. Writes of newer entries wait.
//  2. When the writes that began before step 1 have ended, the store deletes by prefix, once.
//  3. End, on every instance: newer entries are written. None of them is deleted, since all are written after step 2.
//
// Safe for concurrent use.
type Purges struct {
	base    time.Time
	ready   chan struct{} // closed when the store may be read
	trusted atomic.Int64  // until when memory is trusted, in nanoseconds since base
	busy    atomic.Bool   // something is purged or held; otherwise a look-up is skipped

	mu     sync.RWMutex
	now    Generation
	issued uint64
	prefix prefixes
	old    []purged // ordered by age
	holds  map[Generation]*hold
	writes map[*write]struct{}
}

// purged is one purged prefix.
type purged struct {
	prefix string
	by     Generation
	at     time.Time
}

// hold blocks writes under its prefixes until done is closed.
type hold struct {
	under prefixes
	done  chan struct{}
	timer *time.Timer
}

// write is a running write to the store.
type write struct {
	key  string
	done chan struct{}
}

// NewPurges makes the Purges of an instance that has applied all purges up to now and numbers its own. Memory is
// trusted until Trust changes that.
func NewPurges(now Generation) *Purges {
	ready := make(chan struct{})
	close(ready)
	p := &Purges{
		base: time.Now(), ready: ready, now: now, prefix: newPrefixes(), holds: map[Generation]*hold{},
		writes: map[*write]struct{}{},
	}
	p.trusted.Store(math.MaxInt64)
	return p
}

// Now is the Generation of the last applied purge: the one for an entry on which work begins.
func (p *Purges) Now() Generation {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.now
}

// Replay blocks readers of the store until done is called, for at most limit: an instance that shares purges first has
// to learn of those from before its start. Call it before anything is read.
func (p *Purges) Replay(limit time.Duration) (done func()) {
	ready := make(chan struct{})
	p.ready = ready
	done = sync.OnceFunc(func() { close(ready) })
	time.AfterFunc(limit, done)
	return done
}

// Replayed reports whether the store may be read.
func (p *Purges) Replayed() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// readable waits until the store may be read.
func (p *Purges) readable(ctx context.Context) error {
	if p.Replayed() {
		return nil
	}
	select {
	case <-p.ready:
		return nil
	case <-ctx.Done():
		return ErrUnavailable
	}
}

// Next numbers a purge of an instance that does not share its order with others.
func (p *Purges) Next() Generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.issued = max(p.issued, p.now.Seq) + 1
	return Generation{p.now.Epoch, p.issued}
}

// Advance says that all purges up to g are applied. It never goes back.
func (p *Purges) Advance(g Generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(g)
}

func (p *Purges) advance(g Generation) {
	if p.now.Before(g) {
		p.now = g
	}
}

// Covered reports whether an entry of key is purged if work on it began in g.
func (p *Purges) Covered(key string, g Generation) bool {
	if !p.busy.Load() {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.covered(key, g)
}

func (p *Purges) covered(key string, g Generation) bool {
	by, ok := p.prefix.newest(key)
	return ok && g.Before(by)
}

// Begin applies a purge. Writes under the prefixes are held until End, for at most limit. idle waits until the writes
// that began earlier have ended.
func (p *Purges) Begin(g Generation, under []string, limit time.Duration) (idle func(context.Context) error) {
	at := time.Now()
	h := &hold{under: newPrefixes(), done: make(chan struct{})}
	for _, prefix := range under {
		h.under.add(prefix, g)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(g)
	for _, prefix := range under {
		p.prefix.add(prefix, g)
		p.old = append(p.old, purged{prefix, g, at})
	}
	p.forget(at)
	p.busy.Store(true)
	if limit > 0 {
		p.release(g) // A record that is delivered twice holds once.
		p.holds[g] = h
		h.timer = time.AfterFunc(limit, func() { p.End(g) })
	}
	var running []*write
	for w := range p.writes {
		if h.under.has(w.key) {
			running = append(running, w)
		}
	}
	return func(ctx context.Context) error {
		for _, w := range running {
			select {
			case <-w.done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
}

// End releases the writes that a purge holds.
func (p *Purges) End(g Generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(g)
}

func (p *Purges) release(g Generation) {
	if h := p.holds[g]; h != nil {
		h.timer.Stop()
		close(h.done)
		delete(p.holds, g)
	}
}

// forget drops purges that are older than any write that can still arrive.
func (p *Purges) forget(now time.Time) {
	for len(p.old) > 0 && (len(p.old) > maxPurges || now.Sub(p.old[0].at) > purgesKept) {
		p.prefix.remove(p.old[0].prefix, p.old[0].by)
		p.old = p.old[1:]
	}
}

// Trust sets until when the memory tier may be trusted: an instance that is out of contact does not learn of purges.
func (p *Purges) Trust(until time.Time) { p.trusted.Store(int64(until.Sub(p.base))) }

// Trusted reports whether the memory tier may be trusted now.
func (p *Purges) Trusted() bool {
	until := p.trusted.Load()
	return until == math.MaxInt64 || int64(time.Since(p.base)) < until
}

// errHeld says that a purge holds the write.
var errHeld = errors.New("cache: a purge holds the write")

// enter begins a write, or refuses it with ErrPurged or errHeld.
func (p *Purges) enter(key string, g Generation) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.covered(key, g) {
		return nil, ErrPurged
	}
	if p.holding(key) != nil {
		return nil, errHeld
	}
	w := &write{key, make(chan struct{})}
	p.writes[w] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.writes, w)
		close(w.done)
	}, nil
}

// holding returns the hold of key, if any.
func (p *Purges) holding(key string) *hold {
	for _, h := range p.holds {
		if h.under.has(key) {
			return h
		}
	}
	return nil
}

// await waits until no purge holds writes of key.
func (p *Purges) await(ctx context.Context, key string) error {
	for {
		p.mu.RLock()
		h := p.holding(key)
		p.mu.RUnlock()
		if h == nil {
			return nil
		}
		select {
		case <-h.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Guard wraps store so that purged entries are neither returned nor accepted. A write that a purge holds fails; Tiered
// waits for it.
func (p *Purges) Guard(store Store) Store { return guarded{store, p} }

type guarded struct {
	Store
	purges *Purges
}

var _ Store = guarded{}

func (s guarded) Get(ctx context.Context, key string) (Entry, error) {
	if err := s.purges.readable(ctx); err != nil {
		return Entry{}, err
	}
	e, err := s.Store.Get(ctx, key)
	if err == nil && s.purges.Covered(key, e.Generation()) {
		return Entry{}, ErrMiss
	}
	return e, err
}

func (s guarded) Stat(ctx context.Context, key string) (Meta, error) {
	if err := s.purges.readable(ctx); err != nil {
		return Meta{}, err
	}
	m, err := s.Store.Stat(ctx, key)
	if err == nil && s.purges.Covered(key, m.Generation()) {
		return Meta{}, ErrMiss
	}
	return m, err
}

func (s guarded) Put(ctx context.Context, key string, e Entry) error {
	leave, err := s.purges.enter(key, e.Generation())
	if err != nil {
		return err
	}
	defer leave()
	if !s.purges.Trusted() { // An instance in contact may have made it again after a purge that is not known here.
		if m, err := s.Store.Stat(ctx, key); err == nil && e.Generation().Before(m.Generation()) {
			return ErrPurged
		}
	}
	return s.Store.Put(ctx, key, e)
}
