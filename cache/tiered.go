package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrUnavailable says that the store failed lately and was not asked. It means "unknown", never "absent".
var ErrUnavailable = errors.New("cache: the store failed lately and is given a rest")

// ErrPending says that an entry was not written because too many bytes wait to be written already.
var ErrPending = errors.New("cache: too many bytes wait to be written")

// Tiered puts a Memory before a Store. A store that is slow or broken costs a reader at most the look-up budget, and nothing
// while the breaker is open. Safe for concurrent use; it starts no goroutine.
type Tiered struct {
	mem     *Memory
	store   Store
	cfg     StoreConfig
	obs     Observer
	reads   breaker
	writes  breaker
	pending *pending

	mu     sync.RWMutex // held for reading while a look-up fills the memory, so that a Delete wins over it
	purges uint64
}

// The tiers that Lookup and Stat name.
const (
	TierMemory = "memory"
	TierStore  = "store"
)

// NewTiered makes a Tiered; obs may be nil.
func NewTiered(mem *Memory, store Store, cfg StoreConfig, obs Observer) *Tiered {
	if obs == nil {
		obs = NoObserver{}
	}
	return &Tiered{mem: mem, store: store, cfg: cfg, obs: obs, pending: newPending(cfg.Pending)}
}

// Lookup finds an entry and says which tier had it; one from the store is kept in memory. The error is ErrMiss when the
// entry is absent, and anything else when that could not be found out.
func (t *Tiered) Lookup(ctx context.Context, key string) (Entry, string, error) {
	if e, ok := t.recall(key, "get"); ok {
		return e, TierMemory, nil
	}
	before := t.generation()
	var e Entry
	err := t.read(ctx, "get", func(ctx context.Context) (err error) {
		e, err = t.store.Get(ctx, key)
		return err
	})
	if err != nil {
		return Entry{}, "", err
	}
	t.backfill(key, e, before)
	return e, TierStore, nil
}

// Read is Lookup in the store alone: it neither looks into the memory nor keeps anything there.
func (t *Tiered) Read(ctx context.Context, key string) (e Entry, err error) {
	err = t.read(ctx, "get", func(ctx context.Context) error {
		e, err = t.store.Get(ctx, key)
		return err
	})
	return e, err
}

// Stat is Lookup without the body: the memory stays as it is.
func (t *Tiered) Stat(ctx context.Context, key string) (Meta, string, error) {
	if e, ok := t.recall(key, "stat"); ok {
		return e.Meta, TierMemory, nil
	}
	var m Meta
	err := t.read(ctx, "stat", func(ctx context.Context) (err error) {
		m, err = t.store.Stat(ctx, key)
		return err
	})
	if err != nil {
		return Meta{}, "", err
	}
	return m, TierStore, nil
}

// Recall looks into the memory only.
func (t *Tiered) Recall(key string) (Entry, bool) { return t.recall(key, "get") }

// Remember keeps an entry in memory only. With background it uses no room that viewers' entries need.
func (t *Tiered) Remember(key string, e Entry, background bool) {
	outcome := "ok"
	if !t.mem.Put(key, e, background) {
		outcome = "dropped"
	}
	t.obs.Observe(TierMemory, "put", outcome, 0, int64(len(e.Body)))
}

// Save writes an entry to the store and returns when it is there. It waits while too many bytes are pending, and asks the
// store even when it failed lately: its caller needs to know.
func (t *Tiered) Save(ctx context.Context, key string, e Entry) error {
	n := int64(len(e.Body))
	if err := t.pending.acquire(ctx, n); err != nil {
		return fmt.Errorf("cache: put: %w", err)
	}
	defer t.pending.release(n)
	probe, _ := t.writes.enter()
	return t.put(ctx, key, e, probe)
}

// SaveBehind writes an entry of a viewer, who was answered already: it gives up at once, with ErrPending or ErrUnavailable,
// where Save would wait. It returns when the entry is stored; the caller brings the goroutine.
func (t *Tiered) SaveBehind(ctx context.Context, key string, e Entry) error {
	n := int64(len(e.Body))
	if ok, _ := t.pending.tryAcquire(n); !ok {
		t.obs.Observe(TierStore, "put", "dropped", 0, n)
		return ErrPending
	}
	defer t.pending.release(n)
	probe, ok := t.writes.enter()
	if !ok {
		t.obs.Observe(TierStore, "put", "open", 0, n)
		return ErrUnavailable
	}
	return t.put(ctx, key, e, probe)
}

// Delete removes every entry whose key begins with prefix from both tiers, from memory even when the store fails, and returns
// how many the fuller tier had. A look-up that runs meanwhile brings none of them back into memory.
func (t *Tiered) Delete(ctx context.Context, prefix string) (int, error) {
	forgotten := t.mem.Delete(prefix)
	n, err := t.store.Delete(ctx, prefix)
	// Look-ups that began before this line, and may hold what the store no longer has, do not fill the memory; those that
	// begin after it find the store without the entries.
	t.mu.Lock()
	t.purges++
	t.mu.Unlock()
	forgotten += t.mem.Delete(prefix)
	t.obs.Observe(TierMemory, "delete", "ok", 0, 0)
	if err != nil {
		return max(n, forgotten), fmt.Errorf("cache: delete: %w", err)
	}
	return max(n, forgotten), nil
}

// Load tells how many bytes wait to be written to the store, and whether it is given a rest because it failed lately.
func (t *Tiered) Load() (pending int64, resting bool) {
	t.pending.mu.Lock()
	pending = t.pending.used
	t.pending.mu.Unlock()
	return pending, t.reads.open() || t.writes.open()
}

func (t *Tiered) recall(key, op string) (Entry, bool) {
	start := time.Now()
	e, ok := t.mem.Get(key)
	if !ok {
		t.obs.Observe(TierMemory, op, "miss", time.Since(start), 0)
		return Entry{}, false
	}
	t.obs.Observe(TierMemory, op, "hit", time.Since(start), int64(len(e.Body)))
	return e, true
}

func (t *Tiered) generation() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.purges
}

func (t *Tiered) backfill(key string, e Entry, before uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.purges == before {
		t.mem.Put(key, e, false)
	}
}

// read asks the store within the budget, unless the breaker is open.
func (t *Tiered) read(ctx context.Context, op string, ask func(context.Context) error) error {
	probe, ok := t.reads.enter()
	if !ok {
		t.obs.Observe(TierStore, op, "open", 0, 0)
		return ErrUnavailable
	}
	v := unknown
	defer func() { t.reads.leave(probe, v) }()
	budget, cancel := context.WithTimeout(ctx, t.cfg.Lookup)
	defer cancel()
	err := ask(budget)
	v = judge(ctx, err)
	if err == nil || errors.Is(err, ErrMiss) {
		return err
	}
	return fmt.Errorf("cache: %s: %w", op, err)
}

func (t *Tiered) put(ctx context.Context, key string, e Entry, probe bool) error {
	v := unknown
	defer func() { t.writes.leave(probe, v) }()
	limited, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	err := t.store.Put(limited, key, e)
	v = judge(ctx, err)
	if err != nil {
		return fmt.Errorf("cache: put: %w", err)
	}
	return nil
}

// judge says what err tells of the store: nothing when the caller itself left or asked for a key that cannot be.
func judge(ctx context.Context, err error) verdict {
	switch {
	case err == nil, errors.Is(err, ErrMiss):
		return worked
	case ctx.Err() != nil, errors.Is(err, ErrBadKey):
		return unknown
	}
	return failed
}
