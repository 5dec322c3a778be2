package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrUnavailable says that the store failed recently and was not called. It means "unknown", never "absent".
var ErrUnavailable = errors.New("cache: the store failed recently and is not called for now")

// ErrPending says that an entry was not written because too many bytes wait to be written already.
var ErrPending = errors.New("cache: too many bytes wait to be written")

// Tiered puts a Memory before a Store. A slow or broken store costs a reader at most the look-up timeout, and nothing
// while the breaker is open. Safe for concurrent use.
type Tiered struct {
	mem     *Memory
	store   Store
	cfg     StoreConfig
	obs     Observer
	reads   breaker
	writes  breaker
	pending *pending
	purges  *Purges
	late    atomic.Int64 // look-ups that continue after their time

	filling sync.RWMutex // held for reading while an entry is put into memory, so that Forget removes it
}

// The tiers that Lookup and Stat return.
const (
	TierMemory = "memory"
	TierStore  = "store"
)

// NewTiered makes a Tiered that neither returns nor writes entries that purges covers; obs may be nil.
func NewTiered(mem *Memory, store Store, purges *Purges, cfg StoreConfig, obs Observer) *Tiered {
	if obs == nil {
		obs = NoObserver{}
	}
	return &Tiered{mem: mem, store: purges.Guard(store), purges: purges, cfg: cfg, obs: obs, pending: newPending(cfg.Pending)}
}

// Lookup returns an entry and the tier that had it; an entry from the store is kept in memory. The error is ErrMiss if
// the entry is absent, and anything else if that is unknown: a *Late if the store may still respond.
func (t *Tiered) Lookup(ctx context.Context, key string) (Entry, string, error) {
	if e, ok := t.recall(key, "get"); ok {
		return e, TierMemory, nil
	}
	e, err := t.get(ctx, key)
	if err != nil {
		return Entry{}, "", err
	}
	t.remember(key, e, false)
	return e, TierStore, nil
}

// Read is Lookup in the store only: it does not use memory.
func (t *Tiered) Read(ctx context.Context, key string) (e Entry, err error) {
	err = t.read(ctx, "get", func(ctx context.Context) error {
		e, err = t.store.Get(ctx, key)
		return err
	})
	return e, err
}

// Stat is Lookup without the body; it does not change memory.
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

// Recall looks into memory only. It finds nothing while memory is not trusted.
func (t *Tiered) Recall(key string) (Entry, bool) { return t.recall(key, "get") }

// Remember keeps an entry in memory only. With background it displaces no viewer's entry.
func (t *Tiered) Remember(key string, e Entry, background bool) {
	outcome := "ok"
	if !t.remember(key, e, background) {
		outcome = "dropped"
	}
	t.obs.Observe(TierMemory, "put", outcome, 0, int64(len(e.Body)))
}

// remember puts an entry into memory unless it is purged.
func (t *Tiered) remember(key string, e Entry, background bool) bool {
	t.filling.RLock()
	defer t.filling.RUnlock()
	return !t.purges.Covered(key, e.Generation()) && t.mem.Put(key, e, background)
}

// Save writes an entry to the store and returns when it is there. It waits while a purge holds the key and while too
// many bytes are pending, and calls the store even if the breaker is open: its caller needs the result. A purged entry
// is ErrPurged.
func (t *Tiered) Save(ctx context.Context, key string, e Entry) error {
	return t.unheld(ctx, key, func() error {
		n := int64(len(e.Body))
		if err := t.pending.acquire(ctx, n); err != nil {
			return err
		}
		defer t.pending.release(n)
		probe, _ := t.writes.enter()
		return t.put(ctx, key, e, probe)
	})
}

// SaveBehind writes an entry whose viewer has the response already. Where Save would wait for room, it returns
// ErrPending or ErrUnavailable at once. It returns when the entry is stored; call it in a goroutine.
func (t *Tiered) SaveBehind(ctx context.Context, key string, e Entry) error {
	return t.unheld(ctx, key, func() error {
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
	})
}

// unheld calls write once no purge holds the key. It waits for that before it acquires room, so that held writes do not
// block others; and a write has all that it needs before it begins, so that a purge waits only for the store.
func (t *Tiered) unheld(ctx context.Context, key string, write func() error) error {
	for {
		err := t.purges.await(ctx, key)
		if err == nil {
			err = write()
		}
		switch {
		case errors.Is(err, errHeld): // The purge has just begun.
		case err == nil, errors.Is(err, ErrPurged), errors.Is(err, ErrPending), errors.Is(err, ErrUnavailable):
			return err
		default:
			return fmt.Errorf("cache: put: %w", err)
		}
	}
}

// Forget removes from memory every purged entry whose key matches. A concurrent look-up brings none of them back:
// either it puts its entry into memory before this line and Forget removes it, or it finds it purged.
func (t *Tiered) Forget(match func(key string) bool) int {
	func() { // Look-ups that began before the purge have put their entries into memory after this.
		t.filling.Lock()
		defer t.filling.Unlock()
	}()
	n := t.mem.Forget(match)
	t.obs.Observe(TierMemory, "delete", "ok", 0, 0)
	return n
}

// Load returns how many bytes wait to be written to the store, and whether the breaker is open.
func (t *Tiered) Load() (pending int64, resting bool) {
	t.pending.mu.Lock()
	pending = t.pending.used
	t.pending.mu.Unlock()
	return pending, t.reads.open() || t.writes.open()
}

func (t *Tiered) recall(key, op string) (Entry, bool) {
	start := time.Now()
	if !t.purges.Trusted() {
		t.obs.Observe(TierMemory, op, "miss", 0, 0)
		return Entry{}, false
	}
	e, ok := t.mem.Get(key)
	if !ok {
		t.obs.Observe(TierMemory, op, "miss", time.Since(start), 0)
		return Entry{}, false
	}
	t.obs.Observe(TierMemory, op, "hit", time.Since(start), int64(len(e.Body)))
	return e, true
}

// enterRead waits until the store may be read and enters the breaker. The wait for the purges from before this start is
// not part of a look-up's timeout: the store is not slow, and each miss would be a variant made twice.
func (t *Tiered) enterRead(ctx context.Context, op string) (probe bool, err error) {
	if err := t.purges.readable(ctx); err != nil {
		return false, err
	}
	probe, ok := t.reads.enter()
	if !ok {
		t.obs.Observe(TierStore, op, "open", 0, 0)
		return false, ErrUnavailable
	}
	return probe, nil
}

// read calls the store within the timeout, unless the breaker is open.
func (t *Tiered) read(ctx context.Context, op string, ask func(context.Context) error) error {
	probe, err := t.enterRead(ctx, op)
	if err != nil {
		return err
	}
	v := unknown
	defer func() { t.reads.leave(probe, v) }()
	budget, cancel := context.WithTimeout(ctx, t.cfg.Lookup)
	defer cancel()
	err = ask(budget)
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
	return err
}

// judge returns what err says about the store: nothing if the caller left or passed an invalid key.
func judge(ctx context.Context, err error) verdict {
	switch {
	case err == nil, errors.Is(err, ErrMiss):
		return worked
	case ctx.Err() != nil, errors.Is(err, ErrBadKey), errors.Is(err, ErrPurged), errors.Is(err, errHeld), errors.Is(err, ErrUnavailable):
		return unknown
	}
	return failed
}
