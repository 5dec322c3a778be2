package cache

import (
	"context"
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Memory is the memory tier: a 2Q cache bounded in bytes. An entry that was read once is in the recent list, which may
// take a quarter of the bytes under pressure. Read again, it moves to the frequent list; an entry that returns soon
// after it left the recent list (a ghost) goes straight to the frequent one. So a scan displaces only that quarter.
// Entries made in the background are in a spare list, which uses only bytes that are otherwise free and is evicted
// first. Safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	max      int64 // bound of all the lists together, ghosts included
	recent   queue
	frequent queue
	spare    queue
	ghosts   ghosts
	stats    MemoryStats
}

// MemoryStats is a snapshot of a Memory.
type MemoryStats struct {
	Entries   int
	Bytes     int64  // in use, bookkeeping included
	Max       int64  // the bound
	Hits      uint64 // since the start, as all below
	Misses    uint64
	Evictions uint64
	Refused   uint64 // entries not kept: too large, or made in the background without free room
}

const (
	recentShare = 4 // the recent list keeps 1/4 of the bytes under pressure
	ghostShare  = 2 // ghosts remember entries of 1/2 of the bytes
	entryShare  = 8 // one entry may take 1/8 of the bytes
	// The overhead of one entry, measured on amd64: slot, list element and map cell; map and cells of attributes.
	slotOverhead  = 336
	attrsOverhead = 64
	perAttr       = 48
	ghostOverhead = 176
)

// NewMemory makes a memory tier of at most max bytes; with 0 it keeps nothing.
func NewMemory(max int64) *Memory {
	return &Memory{max: max, recent: newQueue(), frequent: newQueue(), spare: newQueue(), ghosts: newGhosts()}
}

// Get returns the entry and counts as a read.
func (m *Memory) Get(key string) (Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.frequent.list.Get(key); ok {
		m.stats.Hits++
		return s.entry, true
	}
	s, ok := m.recent.take(key)
	if ok {
		m.frequent.add(key, s)
	} else if s, ok = m.spare.take(key); ok {
		m.recent.add(key, s)
	} else {
		m.stats.Misses++
		return Entry{}, false
	}
	m.stats.Hits++
	return s.entry, true
}

// Peek returns the entry and does not count as a read.
func (m *Memory) Peek(key string) (Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.queues() {
		if s, ok := q.list.Peek(key); ok {
			return s.entry, true
		}
	}
	return Entry{}, false
}

// Put keeps the entry if there is room, replaces an older one of that key, and reports whether it did. A background
// entry of a new key never displaces an entry that was put for, or read by, a viewer.
func (m *Memory) Put(key string, e Entry, background bool) bool {
	s := &slot{entry: e, cost: cost(key, e)}
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.take(key)
	if s.cost > m.max/entryShare || (background && was == nil && m.bytes()-m.spare.bytes+s.cost > m.max) {
		m.stats.Refused++
		return false
	}
	switch {
	case background && (was == nil || was == &m.spare):
		m.spare.add(key, s)
	case was == &m.frequent, was == nil && m.ghosts.take(key):
		m.frequent.add(key, s)
	default:
		m.recent.add(key, s)
	}
	m.evict()
	return true
}

// Forget removes every entry whose key matches and returns their number.
func (m *Memory) Forget(match func(key string) bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, q := range m.queues() {
		for _, key := range q.list.Keys() {
			if match(key) {
				q.take(key)
				n++
			}
		}
	}
	return n
}

// Bound changes the byte bound of all entries, and evicts down to it.
func (m *Memory) Bound(max int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.max = max
	m.evict()
}

// Stats returns a snapshot.
func (m *Memory) Stats() MemoryStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Entries = m.recent.list.Len() + m.frequent.list.Len() + m.spare.list.Len()
	s.Bytes, s.Max = m.bytes(), m.max
	return s
}

// Store returns the memory tier as a Store, for tests and for running without a disk. An entry may be evicted at any
// time.
func (m *Memory) Store() Store { return memoryStore{m} }

func (m *Memory) queues() [3]*queue { return [3]*queue{&m.frequent, &m.recent, &m.spare} }

func (m *Memory) bytes() int64 {
	return m.recent.bytes + m.frequent.bytes + m.spare.bytes + m.ghosts.bytes
}

// take removes the key from the list that has it and returns that list, or nil.
func (m *Memory) take(key string) *queue {
	for _, q := range m.queues() {
		if _, ok := q.take(key); ok {
			return q
		}
	}
	return nil
}

// evict evicts down to the bound, the spare list first. Each step frees bytes, since a ghost costs less than its entry.
func (m *Memory) evict() {
	for m.bytes() > m.max {
		switch {
		case m.spare.list.Len() > 0:
			m.spare.takeOldest()
		case m.recent.list.Len() > 0 && (m.recent.bytes > m.max/recentShare || m.frequent.list.Len() == 0):
			key, s := m.recent.takeOldest()
			m.ghosts.add(key, s.cost, m.max/ghostShare)
		case m.frequent.list.Len() > 0:
			m.frequent.takeOldest()
		default:
			m.ghosts.takeOldest()
			continue // a ghost is not an entry
		}
		m.stats.Evictions++
	}
}

func cost(key string, e Entry) int64 {
	n := slotOverhead + len(key) + len(e.ContentType) + len(e.ETag) + cap(e.Body)
	if len(e.Attrs) > 0 {
		n += attrsOverhead
	}
	for k, v := range e.Attrs {
		n += perAttr + len(k) + len(v)
	}
	return int64(n)
}

type slot struct {
	entry Entry
	cost  int64
}

// queue is a simplelru list that counts its bytes; the list's own bound, on the number of entries, is disabled.
type queue struct {
	list  *simplelru.LRU[string, *slot]
	bytes int64
}

func newQueue() queue {
	list, _ := simplelru.NewLRU[string, *slot](math.MaxInt, nil) // fails only for a size below 1
	return queue{list: list}
}

// add puts a key that is not in the list at its most recent end.
func (q *queue) add(key string, s *slot) {
	q.list.Add(key, s)
	q.bytes += s.cost
}

func (q *queue) take(key string) (*slot, bool) {
	s, ok := q.list.Peek(key)
	if ok {
		q.list.Remove(key)
		q.bytes -= s.cost
	}
	return s, ok
}

func (q *queue) takeOldest() (string, *slot) {
	key, s, _ := q.list.RemoveOldest()
	q.bytes -= s.cost
	return key, s
}

// ghosts are keys that left the recent list recently, with the cost of their entries.
type ghosts struct {
	list    *simplelru.LRU[string, int64]
	bytes   int64 // of the keys themselves
	entries int64 // of the entries that they had
}

func newGhosts() ghosts {
	list, _ := simplelru.NewLRU[string, int64](math.MaxInt, nil)
	return ghosts{list: list}
}

// add remembers key and drops the oldest ghosts beyond the limit, which bounds the bytes of their former entries.
func (g *ghosts) add(key string, cost, limit int64) {
	g.take(key)
	g.list.Add(key, cost)
	g.bytes += ghostOverhead + int64(len(key))
	g.entries += cost
	for g.entries > limit {
		g.takeOldest()
	}
}

func (g *ghosts) take(key string) bool {
	cost, ok := g.list.Peek(key)
	if ok {
		g.list.Remove(key)
		g.forget(key, cost)
	}
	return ok
}

func (g *ghosts) takeOldest() {
	if key, cost, ok := g.list.RemoveOldest(); ok {
		g.forget(key, cost)
	}
}

func (g *ghosts) forget(key string, cost int64) {
	g.bytes -= ghostOverhead + int64(len(key))
	g.entries -= cost
}

type memoryStore struct{ m *Memory }

var _ Store = memoryStore{}

func (s memoryStore) Get(ctx context.Context, key string) (Entry, error) {
	if err := firstError(ctx.Err(), CheckKey(key)); err != nil {
		return Entry{}, err
	}
	e, ok := s.m.Get(key)
	if !ok {
		return Entry{}, ErrMiss
	}
	return e, nil
}

func (s memoryStore) Stat(ctx context.Context, key string) (Meta, error) {
	e, err := s.Get(ctx, key)
	return e.Meta, err
}

func (s memoryStore) Put(ctx context.Context, key string, e Entry) error {
	e, err := Check(key, e)
	if err = firstError(ctx.Err(), err); err != nil {
		return err
	}
	s.m.Put(key, e, false)
	return nil
}

func (s memoryStore) Delete(ctx context.Context, prefix string) (int, error) {
	if err := firstError(ctx.Err(), CheckPrefix(prefix)); err != nil {
		return 0, err
	}
	return s.m.Forget(Under([]string{prefix})), nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
