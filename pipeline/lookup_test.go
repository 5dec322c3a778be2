package pipeline

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
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// slowStore is a Store that responds late, or not until its caller leaves if delay is 0.
type slowStore struct {
	cache.Store
	delay time.Duration
	fails func(call int64) bool // such calls fail at once; nil = none
	calls atomic.Int64
}

func (s *slowStore) Get(ctx context.Context, key string) (cache.Entry, error) {
	if n := s.calls.Add(1); s.fails != nil && s.fails(n) {
		return cache.Entry{}, errors.New("503 SlowDown")
	}
	var late <-chan time.Time
	if s.delay > 0 {
		late = time.After(s.delay)
	}
	select {
	case <-late:
		return s.Store.Get(ctx, key)
	case <-ctx.Done():
		return cache.Entry{}, ctx.Err()
	}
}

// newSlowRig is a rig with the default limits of look-ups, whose store and origin are slow.
func newSlowRig(t *testing.T, store, source time.Duration) (*rig, *slowStore) {
	t.Helper()
	t.Cleanup(func() { time.Sleep(cache.DefaultStore().Timeout) }) // Late calls end.
	r := newRig(t, nil)
	slow := &slowStore{Store: mapStore{fakeTiers: r.tiers}, delay: store}
	r.tiers.Tiered = cache.NewTiered(r.tiers.memory, slow, r.parts.Purges, cache.DefaultStore(), nil)
	r.origin.onFetch = func(ctx context.Context, name string) (origin.Original, error) {
		select {
		case <-time.After(source):
			return origin.Original{Body: []byte("original of " + name)}, nil
		case <-ctx.Done():
			return origin.Original{}, ctx.Err()
		}
	}
	return r, slow
}

// of is a resolved Ref of its own source.
func of(n int) variant.Ref {
	r := ref(1)
	r.Source = fmt.Sprintf("https://c.example/%d.jpg", n)
	return r
}

// A store that answers after the time of a look-up, but before the original is there, is a slow cache and not an empty
// one: no stored variant is made again. A store that hangs, lacks the variant or has one that is too old delays viewers
// by no more than the time of a look-up.
func TestFault13LateEntries(t *testing.T) {
	const viewers, source, fetched = 40, 400 * time.Millisecond, 700 * time.Millisecond
	for name, c := range map[string]struct {
		store time.Duration
		age   time.Duration // of the stored entries; 0 = there are none
		made  int
		took  time.Duration // by each viewer
	}{
		"late":                 {store: 500 * time.Millisecond, age: time.Minute, took: 500 * time.Millisecond},
		"later than the fetch": {store: 900 * time.Millisecond, age: time.Minute, made: viewers, took: fetched},
		"late and too old":     {store: 500 * time.Millisecond, age: 48 * time.Hour, made: viewers, took: fetched},
		"late and absent":      {store: 500 * time.Millisecond, made: viewers, took: fetched},
		"hanging":              {age: time.Minute, made: viewers, took: fetched},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := newSlowRig(t, c.store, source)
				r.cfg.TTL = time.Hour
				var viewing sync.WaitGroup
				for n := range viewers {
					if c.age > 0 {
						r.tiers.store[of(n).Key()] = aged(c.age)
					}
				}
				for n := range viewers {
					viewing.Go(func() {
						start := time.Now()
						a, err := r.Get(t.Context(), of(n))
						took := time.Since(start)
						if err != nil || took != c.took || (a.Outcome == Hit) != (c.made == 0) {
							t.Errorf("viewer %d: %s after %v, %v", n, a.Outcome, took, err)
						}
					})
				}
				viewing.Wait()
				synctest.Wait()
				if r.codec.calls != c.made {
					t.Errorf("%d made, want %d", r.codec.calls, c.made)
				}
				if load := r.Load(); load.Fetching != 0 || load.Transforming != 0 || load.TransformWaiting != 0 {
					t.Errorf("left behind: %+v", load)
				}
			})
		})
	}
}

// Where nothing can be made, a viewer waits for a slow store, and gets what it has.
func TestFault13LateEntryOfABrokenSource(t *testing.T) {
	for _, stored := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := newSlowRig(t, 1500*time.Millisecond, 0)
			broken := fault.New(fault.SourceError, "origin.fetch", "no", nil)
			r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
				return origin.Original{}, broken
			}
			if stored {
				r.tiers.store[of(1).Key()] = aged(time.Minute)
			}
			a, err := r.Get(t.Context(), of(1))
			if stored && (err != nil || a.Tier != cache.TierStore) || !stored && !errors.Is(err, broken) {
				t.Errorf("stored %v: got %s of %q, %v", stored, a.Outcome, a.Tier, err)
			}
			if stored && r.tiers.remembered() != 1 {
				t.Error("the entry is not in memory")
			}
		})
	}
}

// An entry that came while a worker tried in vain is served.
func TestFault13LateEntryAndABrokenWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSlowRig(t, 500*time.Millisecond, 0)
		broken := fault.New(fault.TransformTimeout, "transform", "no", nil)
		for n, alone := range []bool{true, false} {
			r.codec.onTransform = func(_ context.Context, _ []variant.Spec, emit emitFunc) error {
				time.Sleep(400 * time.Millisecond)
				if alone {
					emit(0, variant.Image{}, broken)
				}
				return broken
			}
			r.tiers.store[of(n).Key()] = aged(time.Minute)
			if a, err := r.Get(t.Context(), of(n)); err != nil || a.Tier != cache.TierStore {
				t.Errorf("alone %v: got %s of %q, %v", alone, a.Outcome, a.Tier, err)
			}
			if r.codec.calls != n+1 || r.tiers.remembered() != n+1 {
				t.Errorf("%d tries, %d in memory", r.codec.calls, r.tiers.remembered())
			}
		}
	})
}

// An entry that is too old is served where the origin fails, also if the store answers late.
func TestFault13LateOldEntryOfABrokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSlowRig(t, 500*time.Millisecond, 0)
		r.cfg.TTL, r.cfg.StaleIfError = time.Hour, 24*time.Hour
		broken := fault.New(fault.SourceError, "origin.fetch", "no", nil)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, broken
		}
		r.tiers.store[of(1).Key()], r.tiers.store[of(2).Key()] = aged(2*time.Hour), aged(26*time.Hour)
		if a, err := r.Get(t.Context(), of(1)); err != nil || a.Outcome != Stale {
			t.Errorf("got %q, %v", a.Outcome, err)
		}
		if _, err := r.Get(t.Context(), of(2)); !errors.Is(err, broken) {
			t.Errorf("past cache.stale_if_error: %v", err)
		}
	})
}

// A caller that wants only what is stored waits for a slow store.
func TestFault13PeekWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newSlowRig(t, 1500*time.Millisecond, 0)
		r.tiers.store[of(1).Key()] = aged(time.Minute)
		if a, err := r.Peek(t.Context(), of(1)); err != nil || a.Tier != cache.TierStore {
			t.Errorf("got %q, %v", a.Tier, err)
		}
		_, err := r.Peek(t.Context(), of(2))
		wantKind(t, err, fault.NotCached)
	})
}

// A store that always answers late stays in use: its breaker does not open. One that hangs gets few calls.
func TestFault13SlowIsNotBroken(t *testing.T) {
	for name, c := range map[string]struct {
		store       time.Duration
		made, calls int
	}{"slow": {500 * time.Millisecond, 0, 200}, "hanging": {0, 200, 12}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, slow := newSlowRig(t, c.store, 400*time.Millisecond)
				var viewing sync.WaitGroup
				for n := range 200 {
					r.tiers.store[of(n).Key()] = aged(time.Minute)
				}
				for n := range 200 {
					viewing.Go(func() {
						if _, err := r.Get(t.Context(), of(n)); err != nil {
							t.Error(err)
						}
					})
					time.Sleep(70 * time.Millisecond)
				}
				viewing.Wait()
				if calls := int(slow.calls.Load()); r.codec.calls > c.made || calls > c.calls {
					t.Errorf("%d made, %d calls; want at most %d and %d", r.codec.calls, calls, c.made, c.calls)
				}
			})
		})
	}
}

// A store that refuses some calls, as S3 does when it has too many, is asked a second time while the original is
// fetched. One that refuses all gets few more calls.
func TestFault13SecondCall(t *testing.T) {
	const viewers = 60
	for name, c := range map[string]struct {
		fails       func(int64) bool
		made, calls int
	}{
		"every third": {func(n int64) bool { return n%3 == 0 }, 0, 90},
		"all":         {func(int64) bool { return true }, viewers, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, store := newSlowRig(t, time.Millisecond, 400*time.Millisecond)
				store.fails = c.fails
				for n := range viewers {
					r.tiers.store[of(n).Key()] = aged(time.Minute)
				}
				for n := range viewers {
					if _, err := r.Get(t.Context(), of(n)); err != nil {
						t.Error(err)
					}
				}
				if calls := int(store.calls.Load()); r.codec.calls != c.made || calls > c.calls {
					t.Errorf("%d made, %d calls; want %d and at most %d", r.codec.calls, calls, c.made, c.calls)
				}
			})
		})
	}
}
