package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
)

// shaky is a Store whose writes fail on demand. Below it is the real memory store.
type shaky struct {
	cache.Store
	mu   sync.Mutex
	puts int
	fail func(put int) error // by the number of the write, from 1
}

func (s *shaky) Put(ctx context.Context, key string, e cache.Entry) error {
	s.mu.Lock()
	s.puts++
	err := s.fail(s.puts)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Store.Put(ctx, key, e)
}

// newShaky is a rig on the real tiers over a shaky store.
func newShaky(t *testing.T, fail func(put int) error, change func(*Config, *Parts)) (*rig, *shaky) {
	t.Helper()
	s := &shaky{Store: cache.NewMemory(1 << 24).Store(), fail: fail}
	return newRig(t, func(c *Config, p *Parts) {
		tiers := cache.NewTiered(cache.NewMemory(1<<20), s, p.Purges, cache.DefaultStore(), nil)
		p.Tiers, p.Keeper, p.Store = tiers, tiers, p.Purges.Guard(s)
		if change != nil {
			change(c, p)
		}
	}), s
}

func never(int) error { return nil }

// Only the store's acknowledgement gives `made` or `present`: after a failed write memory has the variant and the store
// does not. A retry saves the variant.
func TestWarmTrustsTheStoreAlone(t *testing.T) {
	down := errors.New("503")
	for name, meet := range map[string]func(r *rig){
		"a write of Warm failed":     func(r *rig) { r.Warm(context.Background(), refs(1)) },
		"a write of a viewer failed": func(r *rig) { _, _ = r.Get(context.Background(), ref(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, s := newShaky(t, func(put int) error {
					if put <= 2 {
						return down
					}
					return nil
				}, nil)
				meet(r)
				synctest.Wait()
				for range 4 {
					w := r.Warm(t.Context(), refs(1))[0]
					_, err := s.Stat(t.Context(), ref(1).Key())
					if (w.Err == nil) != (err == nil) {
						t.Fatalf("Warm says %v (present %v), the store %v", w.Err, w.Present, err)
					}
				}
				if _, err := s.Stat(t.Context(), ref(1).Key()); err != nil || s.puts != 3 {
					t.Errorf("the store says %v after %d writes, want the variant saved by the third", err, s.puts)
				}
				if fetches, _ := r.origin.counts(); fetches > 2 {
					t.Errorf("%d fetches, want what memory has saved from there", fetches)
				}
			})
		})
	}
}

// An object that was removed from the store by other means is saved again from memory.
func TestWarmSavesWhatTheStoreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newShaky(t, never, nil)
		if _, err := r.Get(t.Context(), ref(1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, err := s.Delete(t.Context(), ref(1).Key()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		w := r.Warm(t.Context(), refs(1))[0]
		if _, err := s.Stat(t.Context(), ref(1).Key()); err != nil || w.Err != nil || w.Present {
			t.Errorf("the store says %v; Warm says %v, present %v", err, w.Err, w.Present)
		}
	})
}

// An old entry that replaces a failed fetch serves a viewer; for Warm the variant was not made.
func TestWarmDoesNotTakeAnOldEntryForMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newShaky(t, never, func(c *Config, _ *Parts) { c.TTL = time.Hour })
		if err := s.Put(t.Context(), ref(1).Key(), aged(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceError, "test", "no", nil)
		}
		w := r.Warm(t.Context(), refs(1))[0]
		wantKind(t, w.Err, fault.SourceError)
	})
}

// A variant that its origin forbids to store is never stored, so Warm never reports it as made.
func TestWarmOfWhatMayNotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newShaky(t, never, func(c *Config, _ *Parts) { c.HonourOrigin = true })
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{Body: []byte("x"), Fresh: origin.Freshness{NoStore: true, Said: true}}, nil
		}
		w := r.Warm(t.Context(), refs(1))[0]
		wantKind(t, w.Err, fault.NotCached)
	})
}
