package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

// fakeStore is a Store whose methods a test replaces; the others answer as an empty store does.
type fakeStore struct {
	get    func(ctx context.Context, key string) (cache.Entry, error)
	put    func(ctx context.Context, key string, e cache.Entry) error
	remove func(ctx context.Context, prefix string) (int, error)
}

func (f fakeStore) Get(ctx context.Context, key string) (cache.Entry, error) {
	if f.get == nil {
		return cache.Entry{}, cache.ErrMiss
	}
	return f.get(ctx, key)
}

func (f fakeStore) Stat(ctx context.Context, key string) (cache.Meta, error) {
	e, err := f.Get(ctx, key)
	return e.Meta, err
}

func (f fakeStore) Put(ctx context.Context, key string, e cache.Entry) error {
	if f.put == nil {
		return nil
	}
	return f.put(ctx, key, e)
}

func (f fakeStore) Delete(ctx context.Context, prefix string) (int, error) {
	if f.remove == nil {
		return 0, nil
	}
	return f.remove(ctx, prefix)
}

// counter counts observations as "tier op outcome".
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) Observe(tier, op, outcome string, _ time.Duration, _ int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[tier+" "+op+" "+outcome]++
}

func (c *counter) expect(t *testing.T, what string, want int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[what] != want {
		t.Errorf("%q was observed %d times, want %d", what, c.n[what], want)
	}
}

// asStore holds a Tiered to the law of Store, through the methods that the pipeline uses.
type asStore struct {
	t     *cache.Tiered
	store cache.Store
}

func (s asStore) Get(ctx context.Context, key string) (cache.Entry, error) {
	if err := ctx.Err(); err != nil {
		return cache.Entry{}, err
	}
	e, _, err := s.t.Lookup(ctx, key)
	return e, err
}

func (s asStore) Stat(ctx context.Context, key string) (cache.Meta, error) {
	if err := ctx.Err(); err != nil {
		return cache.Meta{}, err
	}
	m, _, err := s.t.Stat(ctx, key)
	return m, err
}

func (s asStore) Put(ctx context.Context, key string, e cache.Entry) error {
	if err := s.t.Save(ctx, key, e); err != nil {
		return err
	}
	e, err := cache.Check(key, e)
	s.t.Remember(key, e, false)
	return err
}

func (s asStore) Delete(ctx context.Context, prefix string) (int, error) {
	n, err := s.store.Delete(ctx, prefix)
	if err != nil {
		return n, err
	}
	return max(n, s.t.Forget(cache.Under([]string{prefix}))), nil
}

func TestTieredIsAStore(t *testing.T) {
	for name, memory := range map[string]int64{"with memory": 256 << 20, "without memory": 0} {
		t.Run(name, func(t *testing.T) {
			cachetest.Run(t, func(*testing.T) cache.Store {
				cfg := cache.DefaultStore()
				cfg.Lookup = time.Minute // a slow machine is no fault here
				store := cache.NewMemory(256 << 20).Store()
				return asStore{cache.NewTiered(cache.NewMemory(memory), store, cache.NewPurges(cache.Generation{Epoch: 1}), cfg, nil), store}
			})
		})
	}
}

func TestTieredLookupFillsMemory(t *testing.T) {
	store, obs := cache.NewMemory(1<<20).Store(), &counter{}
	tiers := cache.NewTiered(cache.NewMemory(1<<20), store, cache.NewPurges(cache.Generation{Epoch: 1}), cache.DefaultStore(), obs)
	want := cachetest.Entry("one", 100)
	if err := tiers.Save(t.Context(), "v1/a", want); err != nil {
		t.Fatal(err)
	}
	if _, ok := tiers.Recall("v1/a"); ok {
		t.Error("Save keeps the entry in memory; that is Remember's part")
	}
	if _, tier, err := tiers.Stat(t.Context(), "v1/a"); tier != cache.TierStore || err != nil {
		t.Errorf("Stat = %q, %v, want the store", tier, err)
	}
	for _, wantTier := range []string{cache.TierStore, cache.TierMemory} {
		got, tier, err := tiers.Lookup(t.Context(), "v1/a")
		if tier != wantTier || err != nil || cachetest.Diff(got, want) != "" {
			t.Errorf("Lookup = %q, %v, %s, want %q", tier, err, cachetest.Diff(got, want), wantTier)
		}
	}
	if _, tier, err := tiers.Stat(t.Context(), "v1/a"); tier != cache.TierMemory || err != nil {
		t.Errorf("Stat = %q, %v, want memory", tier, err)
	}
	obs.expect(t, "memory get hit", 1)
	obs.expect(t, "memory get miss", 2)
}

// Read is a look-up under the same budget, beside the memory: it is neither asked nor filled.
func TestTieredRead(t *testing.T) {
	mem, want := cache.NewMemory(1<<20), cache.Entry{Body: []byte("stored")}
	store := fakeStore{get: func(ctx context.Context, key string) (cache.Entry, error) {
		if key == "slow" {
			<-ctx.Done()
			return cache.Entry{}, ctx.Err()
		}
		return want, nil
	}}
	cfg := cache.DefaultStore()
	cfg.Lookup = time.Millisecond
	tiers := cache.NewTiered(mem, store, cache.NewPurges(cache.Generation{Epoch: 1}), cfg, nil)
	tiers.Remember("key", cache.Entry{Body: []byte("remembered")}, false)
	for _, key := range []string{"key", "other"} {
		if e, err := tiers.Read(t.Context(), key); err != nil || string(e.Body) != "stored" {
			t.Errorf("%s: got %q, %v", key, e.Body, err)
		}
	}
	if _, ok := tiers.Recall("other"); ok {
		t.Error("what was read is in memory")
	}
	if _, err := tiers.Read(t.Context(), "slow"); err == nil || errors.Is(err, cache.ErrMiss) {
		t.Errorf("a store without an answer: got %v, want an error that is no miss", err)
	}
}

// TestFault13SlowStore: a store that hangs costs a reader the look-up budget, then, while the breaker is open, nothing;
// one probe at a time finds out that it is back.
func TestFault13SlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		var calls atomic.Int64
		hangs.Store(true)
		store := fakeStore{get: func(ctx context.Context, _ string) (cache.Entry, error) {
			calls.Add(1)
			if hangs.Load() {
				<-ctx.Done()
				return cache.Entry{}, ctx.Err()
			}
			return cache.Entry{}, cache.ErrMiss
		}}
		obs := &counter{}
		tiers := cache.NewTiered(cache.NewMemory(1<<20), store, cache.NewPurges(cache.Generation{Epoch: 1}), cache.DefaultStore(), obs)
		lookup := func() (time.Duration, error) {
			start := time.Now()
			_, _, err := tiers.Lookup(t.Context(), "v1/a")
			return time.Since(start), err
		}
		for range 5 {
			if took, err := lookup(); took != 300*time.Millisecond || errors.Is(err, cache.ErrMiss) || err == nil {
				t.Errorf("Lookup = %v after %v, want an unknown error after 300ms", err, took)
			}
		}
		for range 100 {
			if took, err := lookup(); took != 0 || !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("Lookup = %v after %v, want ErrUnavailable at once", err, took)
			}
		}
		obs.expect(t, "store get open", 100)
		time.Sleep(5 * time.Second) // of the bubble's clock
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { lookup() })
		}
		wg.Wait()
		if calls.Load() != 6 {
			t.Errorf("%d calls reached the store, want 5 and one probe", calls.Load())
		}
		hangs.Store(false)
		time.Sleep(5 * time.Second)
		for range 3 {
			if _, err := lookup(); !errors.Is(err, cache.ErrMiss) {
				t.Errorf("Lookup = %v, want ErrMiss from the store that is back", err)
			}
		}
	})
}

func TestTieredCallersWhoLeaveDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fakeStore{get: func(ctx context.Context, key string) (cache.Entry, error) {
			if err := cache.CheckKey(key); err != nil {
				return cache.Entry{}, err
			}
			<-ctx.Done()
			return cache.Entry{}, ctx.Err()
		}}
		tiers := cache.NewTiered(cache.NewMemory(0), store, cache.NewPurges(cache.Generation{Epoch: 1}), cache.DefaultStore(), nil)
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, _, err := tiers.Lookup(ctx, "v1/a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Lookup = %v", err)
			}
			cancel()
			if _, _, err := tiers.Lookup(t.Context(), "../a"); !errors.Is(err, cache.ErrBadKey) {
				t.Errorf("Lookup = %v, want ErrBadKey", err)
			}
		}
	})
}

// TestTieredPending: past the bound a viewer's write is dropped and counted, Save waits its turn or for its context.
func TestTieredPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, stored := make(chan struct{}), 0
		store := fakeStore{put: func(context.Context, string, cache.Entry) error {
			<-release
			stored++
			return nil
		}}
		cfg := cache.DefaultStore()
		cfg.Pending = 1000
		obs := &counter{}
		tiers := cache.NewTiered(cache.NewMemory(0), store, cache.NewPurges(cache.Generation{Epoch: 1}), cfg, obs)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := tiers.SaveBehind(t.Context(), "v1/a", entry(5000)); err != nil { // larger than the bound, but alone
				t.Errorf("SaveBehind = %v", err)
			}
		})
		synctest.Wait()
		if err := tiers.SaveBehind(t.Context(), "v1/b", entry(1)); !errors.Is(err, cache.ErrPending) {
			t.Errorf("SaveBehind = %v, want ErrPending", err)
		}
		obs.expect(t, "store put dropped", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tiers.Save(ctx, "v1/c", entry(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Save = %v, want the end of its context", err)
		}
		for i := range 3 {
			wg.Go(func() {
				if err := tiers.Save(t.Context(), key("w", i), entry(900)); err != nil {
					t.Errorf("Save = %v", err)
				}
			})
		}
		synctest.Wait()
		for range 4 {
			release <- struct{}{}
			synctest.Wait()
		}
		wg.Wait()
		if stored != 4 {
			t.Errorf("%d entries stored, want 4", stored)
		}
	})
}

// TestTieredBrokenWrites: viewers' writes stop bothering a store that refuses them; Save still asks, and its success
// ends that.
func TestTieredBrokenWrites(t *testing.T) {
	broken := errors.New("no space")
	fails, calls := true, 0
	store := fakeStore{put: func(context.Context, string, cache.Entry) error {
		calls++
		if fails {
			return broken
		}
		return nil
	}}
	tiers := cache.NewTiered(cache.NewMemory(0), store, cache.NewPurges(cache.Generation{Epoch: 1}), cache.DefaultStore(), nil)
	for range 5 {
		if err := tiers.SaveBehind(t.Context(), "v1/a", entry(1)); !errors.Is(err, broken) {
			t.Errorf("SaveBehind = %v", err)
		}
	}
	if err := tiers.SaveBehind(t.Context(), "v1/a", entry(1)); !errors.Is(err, cache.ErrUnavailable) || calls != 5 {
		t.Errorf("SaveBehind = %v after %d calls, want ErrUnavailable without a call", err, calls)
	}
	if err := tiers.Save(t.Context(), "v1/a", entry(1)); !errors.Is(err, broken) {
		t.Errorf("Save = %v, want the store's error", err)
	}
	if _, _, err := tiers.Lookup(t.Context(), "v1/a"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("Lookup = %v, want ErrMiss: reads do not suffer for writes", err)
	}
	fails = false
	for i := range 2 {
		save := []func(context.Context, string, cache.Entry) error{tiers.Save, tiers.SaveBehind}[i]
		if err := save(t.Context(), "v1/a", entry(1)); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestConfigs(t *testing.T) {
	if err := errors.Join(cache.Default().Validate(), cache.DefaultStore().Validate()); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	bad := []interface{ Validate() error }{cache.Config{Memory: -1}, cache.StoreConfig{}, cache.StoreConfig{Pending: 1}, cache.StoreConfig{Pending: 1, Lookup: 1}}
	for _, c := range bad {
		if c.Validate() == nil {
			t.Errorf("%s passes", fmt.Sprintf("%+v", c))
		}
	}
}
