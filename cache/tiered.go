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

// Tiered puts a Memory before a Store. A store that is slow or broken costs a reader at most the look-up budget, and
// nothing while the breaker is open. Safe for concurrent use; it starts no goroutine.
type Tiered struct {
	mem     *Memory
	store   Store
	cfg     StoreConfig
	obs     Observer
	reads   breaker
	writes  breaker
	pending *pending
	purges  *Purges

	filling sync.RWMutex // held for reading while an entry is put into memory, so that Forget wins over it
}

// The tiers that Lookup and Stat name.
const (
	TierMemory = "memory"
	TierStore  = "store"
)

// NewTiered makes a Tiered that hides from its readers what purges covers, and writes none of it; obs may be nil.
func NewTiered(mem *Memory, store Store, purges *Purges, cfg StoreConfig, obs Observer) *Tiered {
	if obs == nil {
		obs = NoObserver{}
	}
	return &Tiered{mem: mem, store: purges.Guard(store), purges: purges, cfg: cfg, obs: obs, pending: newPending(cfg.Pending)}
}

// Lookup finds an entry and says which tier had it; one from the store is kept in memory. The error is ErrMiss when the
// entry is absent, and anything else when that could not be found out.
func (t *Tiered) Lookup(ctx context.Context, key string) (Entry, string, error) {
	if e, ok := t.recall(key, "get"); ok {
		return e, TierMemory, nil
	}
	var e Entry
	err := t.read(ctx, "get", func(ctx context.Context) (err error) {
		e, err = t.store.Get(ctx, key)
		return err
	})
	if err != nil {
		return Entry{}, "", err
	}
	t.remember(key, e, false)
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

// Recall looks into the memory only. It finds nothing while memory is not trusted.
func (t *Tiered) Recall(key string) (Entry, bool) { return t.recall(key, "get") }

// Remember keeps an entry in memory only. With background it uses no room that viewers' entries need.
func (t *Tiered) Remember(key string, e Entry, background bool) {
	outcome := "ok"
	if !t.remember(key, e, background) {
		outcome = "dropped"
	}
	t.obs.Observe(TierMemory, "put", outcome, 0, int64(len(e.Body)))
}

// remember puts an entry into memory that is not purged.
func (t *Tiered) remember(key string, e Entry, background bool) bool {
	t.filling.RLock()
	defer t.filling.RUnlock()
	return !t.purges.Covered(key, e.Generation()) && t.mem.Put(key, e, background)
}

// Save writes an entry to the store and returns when it is there. It waits while a purge holds the key and while too
// many bytes are pending, and asks the store even when it failed lately: its caller needs to know. A purged entry is
// ErrPurged.
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

// SaveBehind writes an entry of a viewer, who was answered already: it gives up at once, with ErrPending or
// ErrUnavailable, where Save would wait for room. It returns when the entry is stored; the caller brings the goroutine.
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

// unheld writes once no purge holds the key. It waits for that before it takes room, so that a purge keeps no other
// write waiting; and a write has all that it needs before it begins, so that it keeps no purge waiting for longer than
// the store takes.
func (t *Tiered) unheld(ctx context.Context, key string, write func() error) error {
	for {
		err := t.purges.await(ctx, key)
		if err == nil {
			err = write()
		}
		switch {
		case errors.Is(err, errHeld): // The purge began just now.
		case err == nil, errors.Is(err, ErrPurged), errors.Is(err, ErrPending), errors.Is(err, ErrUnavailable):
			return err
		default:
			return fmt.Errorf("cache: put: %w", err)
		}
	}
}

// Forget removes from memory every entry whose key matches and that is purged already. A look-up that runs meanwhile
// brings none of them back: either it puts its entry there before this line and Forget removes it, or it finds it
// purged.
func (t *Tiered) Forget(match func(key string) bool) int {
	func() { // Every look-up that began before the purge has put its entry after this.
		t.filling.Lock()
		defer t.filling.Unlock()
	}()
	n := t.mem.Forget(match)
	t.obs.Observe(TierMemory, "delete", "ok", 0, 0)
	return n
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
	return err
}

// judge says what err tells of the store: nothing when the caller itself left or asked for a key that cannot be.
func judge(ctx context.Context, err error) verdict {
	switch {
	case err == nil, errors.Is(err, ErrMiss):
		return worked
	case ctx.Err() != nil, errors.Is(err, ErrBadKey), errors.Is(err, ErrPurged), errors.Is(err, errHeld), errors.Is(err, ErrUnavailable):
		return unknown
	}
	return failed
}
