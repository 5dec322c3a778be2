package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// An entry past its lifetime is served at once and remade in the background, or waited for, or served because the
// origin fails.
func TestExpiredEntryIsServedRemadeOrWaitedFor(t *testing.T) {
	failing := func(context.Context, string) (origin.Original, error) {
		return origin.Original{}, fault.New(fault.ConnectFailed, "test", "down", nil)
	}
	for _, tt := range []struct {
		name       string
		age        time.Duration
		onFetch    func(context.Context, string) (origin.Original, error)
		outcome    Outcome
		fetches    int
		bodyIsOld  bool
		storedIsOl bool
	}{
		{"fresh", time.Minute, nil, Hit, 0, true, true},
		{"stale, remade behind", 90 * time.Minute, nil, Stale, 1, true, false},
		{"too old, waits", 5 * time.Hour, nil, Miss, 1, false, false},
		{"too old, origin down", 5 * time.Hour, failing, Stale, 1, true, true},
		{"from the future after a clock jump", -9 * time.Hour, nil, Hit, 0, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate, c.StaleIfError = time.Hour, time.Hour, 24*time.Hour })
				r.origin.onFetch = tt.onFetch
				key := ref(100).Key()
				r.tiers.store[key] = aged(tt.age)
				a, err := r.Get(t.Context(), ref(100))
				if err != nil || a.Outcome != tt.outcome || (string(a.Entry.Body) == "old") != tt.bodyIsOld {
					t.Errorf("got %s %q %v, want %s", a.Outcome, a.Entry.Body, err, tt.outcome)
				}
				synctest.Wait()
				if fetches, _ := r.origin.counts(); fetches != tt.fetches {
					t.Errorf("got %d fetches, want %d", fetches, tt.fetches)
				}
				if got := string(r.tiers.store[key].Body) == "old"; got != tt.storedIsOl {
					t.Errorf("store still has the old entry: %v, want %v", got, tt.storedIsOl)
				}
			})
		})
	}
}

// An origin that sends something other than a picture has failed, whatever its status: the old entry is served for as
// long as that is allowed. Nothing of it is stored, and prewarm gets the failure.
func TestAnOriginThatSendsNoPictureFails(t *testing.T) {
	for kind, stale := range map[fault.Kind]bool{
		fault.NotAnImage: true, fault.TruncatedSource: true, fault.DecodeFailed: true, fault.SourceError: true, fault.SourceForbidden: true,
		fault.SourceNotFound: false, fault.SourceTooLarge: false, fault.UnsupportedFormat: false, fault.HashMismatch: false, fault.TooManyPixels: false,
	} {
		for _, over := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.StaleIfError = time.Hour, time.Hour })
				bad := fault.New(kind, "test", "not now", nil)
				r.origin.onFetch = func(context.Context, string) (origin.Original, error) { return origin.Original{}, bad }
				if kind == fault.DecodeFailed { // only a worker finds this
					r.origin.onFetch = nil
					r.codec.onTransform = func(context.Context, []variant.Spec, func(int, variant.Image, error)) error { return bad }
				}
				age := 90 * time.Minute
				if over {
					age = 3 * time.Hour
				}
				key := ref(100).Key()
				r.tiers.store[key] = aged(age)
				a, err := r.Get(t.Context(), ref(100))
				if stale && !over {
					if err != nil || a.Outcome != Stale || string(a.Entry.Body) != "old" {
						t.Errorf("%s: got %s %q %v, want the old entry", kind, a.Outcome, a.Entry.Body, err)
					}
				} else {
					wantKind(t, err, kind)
				}
				wantKind(t, r.Warm(t.Context(), []variant.Ref{ref(100)})[0].Err, kind)
				synctest.Wait()
				if string(r.tiers.store[key].Body) != "old" {
					t.Errorf("%s: the store has %q", kind, r.tiers.store[key].Body)
				}
			})
		}
	}
}

// A source that is gone is reported despite an old entry: only temporary failures are covered by it.
func TestStaleIsNoExcuseForGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TTL = time.Hour })
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceNotFound, "test", "gone", nil)
		}
		r.tiers.store[ref(100).Key()] = aged(2 * time.Hour)
		_, err := r.Get(t.Context(), ref(100))
		wantKind(t, err, fault.SourceNotFound)
	})
}

// An entry of an older recipe is served as it is and remade in the background, a limited number at a time.
func TestOlderRecipeIsRemadeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		block := make(chan struct{})
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			<-block
			emit(0, variant.Image{Body: []byte("new"), Format: variant.WebP}, nil)
			return nil
		}
		for w := range 3 {
			e := aged(time.Hour)
			e.Recipe = variant.Recipe - 1
			r.tiers.store[ref(w).Key()] = e
			if a, err := r.Get(t.Context(), ref(w)); err != nil || a.Outcome != Hit || string(a.Entry.Body) != "old" {
				t.Fatalf("got %s %q %v, want the old entry as a hit", a.Outcome, a.Entry.Body, err)
			}
		}
		close(block)
		synctest.Wait()
		if r.codec.images != 1 {
			t.Errorf("got %d remade at once, want 1", r.codec.images)
		}
	})
}

// A purge wins over a fill that began before it, whenever the fill's write arrives.
func TestPurgeWinsOverRacingFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		landing, purged := make(chan struct{}), make(chan struct{})
		r.tiers.onSave = func(string, bool) error {
			close(landing)
			<-purged
			return nil
		}
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Fatal(err)
		}
		<-landing
		go func() { close(purged) }() // Purge waits for the write
		if _, err := r.Purge(t.Context(), Selector{Refs: refs(100)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(r.tiers.store) != 0 || r.tiers.remembered() != 0 {
			t.Errorf("got %d stored and %d remembered after the purge, want none", len(r.tiers.store),
				r.tiers.remembered())
		}
	})
}

// A request after a purge does not join a fill from before it.
func TestPurgeDetachesRunningFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			time.Sleep(time.Second)
			return origin.Original{Body: []byte("x")}, nil
		}
		done := make(chan error, 1)
		go func() {
			_, err := r.Get(t.Context(), ref(100))
			done <- err
		}()
		synctest.Wait()
		if _, err := r.Purge(t.Context(), Selector{Refs: refs(100)}); err != nil {
			t.Fatal(err)
		}
		a, err := r.Get(t.Context(), ref(100))
		if err != nil || a.Outcome != Miss {
			t.Errorf("got %s %v, want a miss of its own", a.Outcome, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if fetches, _ := r.origin.counts(); fetches != 2 {
			t.Errorf("got %d fetches, want 2", fetches)
		}
		synctest.Wait()
		if _, ok := r.tiers.store[ref(100).Key()]; !ok {
			t.Error("the fill that began after the purge was not stored")
		}
	})
}

// The origin's Cache-Control counts only with honour_origin.
func TestHonourOrigin(t *testing.T) {
	for _, honour := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config, _ *Parts) { c.HonourOrigin = honour })
			r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
				return origin.Original{Body: []byte("x"), Fresh: origin.Freshness{NoStore: true, Said: true}}, nil
			}
			a, err := r.Get(t.Context(), ref(100))
			synctest.Wait()
			if err != nil || a.NoStore != honour || (len(r.tiers.store) == 0) != honour {
				t.Errorf("honour %v: got no-store %v, %d stored, %v", honour, a.NoStore, len(r.tiers.store), err)
			}
		})
	}
}

// Stat returns only entries that Get would return as fresh.
func TestStat(t *testing.T) {
	r := newRig(t, func(c *Config, _ *Parts) { c.TTL = time.Hour })
	r.tiers.store[ref(1).Key()] = aged(0)
	r.tiers.store[ref(2).Key()] = aged(2 * time.Hour)
	for w, want := range map[int]error{1: nil, 2: cache.ErrMiss, 3: cache.ErrMiss} {
		if _, err := r.Stat(t.Context(), ref(w)); err != want {
			t.Errorf("width %d: got %v, want %v", w, err, want)
		}
	}
}

// Stat and Get agree on an entry, also if it is older than its bytes.
func TestStatIsGetWithoutTheBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TTL = 3 * time.Hour })
		old := aged(time.Hour)
		old.Attrs = map[string]string{sinceAttr: "3600"}
		r.tiers.store[ref(1).Key()] = old
		stat, err := r.Stat(t.Context(), ref(1))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Get(t.Context(), ref(1))
		if err != nil {
			t.Fatal(err)
		}
		if stat.Age != 2*time.Hour || stat.Age != got.Age || stat.Outcome != got.Outcome || stat.Tier != got.Tier || stat.Over != got.Over {
			t.Errorf("Stat says %+v, Get %+v", stat, got)
		}
	})
}
