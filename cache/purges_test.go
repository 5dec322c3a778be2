package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

func TestMemoryStoreKeepsTheLawOfPurges(t *testing.T) {
	cachetest.RunPurges(t, func(*testing.T) cache.Store { return cache.NewMemory(256 << 20).Store() })
}

func TestGeneration(t *testing.T) {
	ordered := []cache.Generation{{}, {Epoch: 1}, {Epoch: 1, Seq: 9}, {Epoch: 1, Seq: 10}, {Epoch: 2}, {Epoch: 1796000000000, Seq: 1 << 60}}
	for i, g := range ordered {
		if got := cache.ParseGeneration(g.String()); got != g {
			t.Errorf("%v came back as %v", g, got)
		}
		for j, h := range ordered {
			if g.Before(h) != (i < j) {
				t.Errorf("%v before %v: %v", g, h, g.Before(h))
			}
		}
	}
	for _, s := range []string{"", "x", "1.", ".1", "1.1.1", "1 .1", "-"} {
		if g := cache.ParseGeneration(s); g != (cache.Generation{}) {
			t.Errorf("%q is %v", s, g)
		}
	}
}

// What is covered is what a plain walk over all purges says.
func TestPurgesCover(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func() string { return fmt.Sprintf("v1/%c/%c/%c", 'a'+rnd.IntN(2), 'a'+rnd.IntN(3), 'a'+rnd.IntN(3)) }
	for range 200 {
		p := cache.NewPurges(cache.Generation{Epoch: 1})
		type purge struct {
			prefix string
			g      cache.Generation
		}
		var all []purge
		for range rnd.IntN(6) {
			g := p.Next()
			var under []string
			for range 1 + rnd.IntN(3) {
				prefix := word()
				prefix = prefix[:rnd.IntN(len(prefix)+1)]
				under, all = append(under, prefix), append(all, purge{prefix, g})
			}
			p.Begin(g, under, 0)
		}
		for range 50 {
			key, g := word(), cache.Generation{Epoch: p.Now().Epoch, Seq: uint64(rnd.IntN(7))}
			want := false
			for _, purge := range all {
				want = want || strings.HasPrefix(key, purge.prefix) && g.Before(purge.g)
			}
			if got := p.Covered(key, g); got != want {
				t.Fatalf("%s of %v: covered %v, want %v by %v", key, g, got, want, all)
			}
		}
	}
}

// Purges are remembered for a day, and no more than a bound of them.
func TestPurgesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPurges(cache.Generation{Epoch: 1})
		first := p.Now()
		p.Begin(p.Next(), []string{"v1/aa/first/"}, 0)
		time.Sleep(23 * time.Hour)
		p.Begin(p.Next(), []string{"v1/aa/second/"}, 0)
		if !p.Covered("v1/aa/first/x", first) || !p.Covered("v1/aa/second/x", first) {
			t.Error("a purge of this day is forgotten")
		}
		time.Sleep(2 * time.Hour)
		p.Begin(p.Next(), []string{"v1/aa/third/"}, 0)
		if p.Covered("v1/aa/first/x", first) || !p.Covered("v1/aa/second/x", first) {
			t.Error("an old purge is remembered, or a young one is not")
		}
		many := make([]string, 1<<17)
		for i := range many {
			many[i] = fmt.Sprintf("v1/bb/%d/", i)
		}
		p.Begin(p.Next(), many, 0)
		if p.Covered("v1/aa/second/x", first) || !p.Covered("v1/bb/0/x", first) {
			t.Error("the bound does not drop the oldest")
		}
	})
}

// A purge waits for the writes that have begun, and for none that waits for room; and one of another source waits for
// nothing.
func TestPurgeWaitsForWritesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, landing := cache.NewPurges(cache.Generation{Epoch: 1}), make(chan struct{})
		store := fakeStore{put: func(context.Context, string, cache.Entry) error { <-landing; return nil }}
		cfg := cache.DefaultStore()
		cfg.Pending, cfg.Timeout = 100, time.Hour
		tiers := cache.NewTiered(cache.NewMemory(0), store, p, cfg, nil)
		result := make(chan error, 2)
		save := func(key string) {
			go func() { result <- tiers.Save(t.Context(), key, cachetest.Of(p.Now(), cachetest.Entry("x", 80))) }()
			synctest.Wait()
		}
		save("v1/aa/writes/a")
		save("v1/aa/waits/a")
		begin := func(source string) (idle chan error) {
			idle = make(chan error, 1)
			wait := p.Begin(p.Next(), []string{"v1/aa/" + source + "/"}, 0)
			go func() { idle <- wait(t.Context()) }()
			synctest.Wait()
			return idle
		}
		for source, waits := range map[string]bool{"writes": true, "waits": false, "other": false} {
			if idle := begin(source); (len(idle) == 0) != waits {
				t.Errorf("%s: the purge waits: %v, want %v", source, len(idle) == 0, waits)
			}
		}
		close(landing)
		if first, second := <-result, <-result; (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), cache.ErrPurged) {
			t.Errorf("got %v and %v, want that one landed before the purge and one is refused", first, second)
		}
	})
}

// Writes of what is new wait for the end of a purge, and for no longer than its limit; they take no room while they
// wait.
func TestPurgeHoldsNewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPurges(cache.Generation{Epoch: 1})
		cfg := cache.DefaultStore()
		cfg.Pending = 200 // for two of the three writes, which may land at one moment
		tiers := cache.NewTiered(cache.NewMemory(0), cache.NewMemory(1<<20).Store(), p, cfg, nil)
		g := p.Next()
		p.Begin(g, []string{"v1/aa/held/"}, time.Minute)
		start, held := time.Now(), make(chan time.Duration, 2)
		for _, save := range []func(context.Context, string, cache.Entry) error{tiers.Save, tiers.SaveBehind} {
			go func() {
				if err := save(t.Context(), "v1/aa/held/a", cachetest.Of(g, cachetest.Entry("x", 80))); err != nil {
					t.Error(err)
				}
				held <- time.Since(start)
			}()
		}
		synctest.Wait()
		if err := tiers.Save(t.Context(), "v1/aa/other/a", cachetest.Of(g, cachetest.Entry("x", 80))); err != nil || time.Since(start) != 0 {
			t.Errorf("a write of another source: %v after %v", err, time.Since(start))
		}
		for range 2 {
			if got := <-held; got != time.Minute {
				t.Errorf("the write waited %v, want the purge's limit", got)
			}
		}
		p.Begin(p.Next(), []string{"v1/aa/held/"}, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tiers.Save(ctx, "v1/aa/held/a", cachetest.Of(p.Now(), cachetest.Entry("x", 80))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that left got %v", err)
		}
		if _, resting := tiers.Load(); resting {
			t.Error("the store is blamed for what a purge did")
		}
	})
}

// A purged entry is neither remembered nor brought back into memory by a look-up that read it before.
func TestPurgeWinsOverMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, read := cache.NewPurges(cache.Generation{Epoch: 1}), make(chan struct{})
		old := cachetest.Of(p.Now(), cachetest.Entry("old", 10))
		store := fakeStore{get: func(context.Context, string) (cache.Entry, error) { <-read; return old, nil }}
		tiers := cache.NewTiered(cache.NewMemory(1<<20), store, p, cache.DefaultStore(), nil)
		tiers.Remember("v1/aa/s/a", old, false)
		looked := make(chan error)
		go func() {
			_, _, err := tiers.Lookup(t.Context(), "v1/aa/s/b")
			looked <- err
		}()
		synctest.Wait()
		p.Begin(p.Next(), []string{"v1/aa/s/"}, 0)
		if n := tiers.Forget(cache.Under([]string{"v1/aa/s/"})); n != 1 {
			t.Errorf("%d entries were forgotten, want 1", n)
		}
		tiers.Remember("v1/aa/s/c", old, false)
		close(read)
		if err := <-looked; !errors.Is(err, cache.ErrMiss) {
			t.Errorf("the look-up gave %v", err)
		}
		for _, name := range []string{"a", "b", "c"} {
			if _, ok := tiers.Recall("v1/aa/s/" + name); ok {
				t.Errorf("%s is in memory", name)
			}
		}
	})
}

// Memory that is not trusted has nothing, and has all of it when it is trusted again.
func TestUntrustedMemoryReturnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPurges(cache.Generation{Epoch: 1})
		tiers := cache.NewTiered(cache.NewMemory(1<<20), fakeStore{}, p, cache.DefaultStore(), nil)
		tiers.Remember("v1/a", cachetest.Entry("x", 10), false)
		want := func(when string, want bool) {
			t.Helper()
			if _, ok := tiers.Recall("v1/a"); ok != want {
				t.Errorf("%s: remembered %v", when, ok)
			}
			if _, tier, _ := tiers.Lookup(t.Context(), "v1/a"); (tier == cache.TierMemory) != want {
				t.Errorf("%s: looked up in %q", when, tier)
			}
		}
		want("at first", true)
		p.Trust(time.Now().Add(time.Second))
		want("within the lease", true)
		time.Sleep(time.Second)
		want("past it", false)
		p.Trust(time.Now().Add(time.Second))
		want("in contact again", true)
	})
}

// An instance that is out of contact writes nothing over what was made by those who know of later purges.
func TestOutOfContactReplacesNothingNewer(t *testing.T) {
	store, p := cache.NewMemory(1<<20).Store(), cache.NewPurges(cache.Generation{Epoch: 1})
	newer := cachetest.Of(cache.Generation{Epoch: 1, Seq: 9}, cachetest.Entry("newer", 10))
	if err := store.Put(t.Context(), "v1/aa/s/a", newer); err != nil {
		t.Fatal(err)
	}
	p.Trust(time.Now())
	old := cachetest.Of(cache.Generation{Epoch: 1}, cachetest.Entry("old", 10))
	if err := p.Guard(store).Put(t.Context(), "v1/aa/s/a", old); !errors.Is(err, cache.ErrPurged) {
		t.Errorf("Put = %v, want ErrPurged", err)
	}
	if err := p.Guard(store).Put(t.Context(), "v1/aa/s/b", old); err != nil {
		t.Errorf("Put where there is none = %v", err)
	}
}

// The check of a purge on the way to a hit costs next to nothing.
func BenchmarkRecall(b *testing.B) {
	p := cache.NewPurges(cache.Generation{Epoch: 1})
	tiers := cache.NewTiered(cache.NewMemory(1<<20), fakeStore{}, p, cache.DefaultStore(), nil)
	tiers.Remember("v1/ab/hash/w480.webp", cachetest.Entry("x", 10), false)
	for b.Loop() {
		if _, ok := tiers.Recall("v1/ab/hash/w480.webp"); !ok {
			b.Fatal("a miss")
		}
	}
}

// An instance may not read the store before it has read the purges from before its start. Look-ups wait for that beyond
// their own timeout: a miss would be a variant that is fetched and made again. If the log of purges does not answer,
// they wait until the limit.
func TestFault57LookupsWaitForThePurges(t *testing.T) {
	for name, c := range map[string]struct {
		read time.Duration // until the log was read; 0 = never
		took time.Duration
	}{
		"the log is read":     {read: 1200 * time.Millisecond, took: 1200 * time.Millisecond},
		"it does not respond": {took: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, p := cache.NewMemory(1<<20).Store(), cache.NewPurges(cache.Generation{})
				for _, key := range []string{"v1/a", "v1/b", "v1/purged"} {
					if err := store.Put(t.Context(), key, cachetest.Entry(key, 10)); err != nil {
						t.Fatal(err)
					}
				}
				done := p.Replay(5 * time.Second)
				tiers := cache.NewTiered(cache.NewMemory(0), store, p, cache.DefaultStore(), nil)
				start := time.Now()
				var looking sync.WaitGroup
				for key, want := range map[string]error{"v1/a": nil, "v1/b": nil, "v1/purged": cache.ErrMiss} {
					if c.read == 0 {
						want = nil
					}
					looking.Go(func() {
						_, _, looked := tiers.Lookup(t.Context(), key)
						_, read := tiers.Read(t.Context(), key)
						_, _, stated := tiers.Stat(t.Context(), key)
						for _, err := range []error{looked, read, stated} {
							if !errors.Is(err, want) {
								t.Errorf("%s: %v, want %v", key, err, want)
							}
						}
						if took := time.Since(start); took != c.took {
							t.Errorf("%s: took %v, want %v", key, took, c.took)
						}
					})
				}
				synctest.Wait()
				if p.Replayed() {
					t.Error("ready before the log was read")
				}
				if c.read > 0 {
					time.Sleep(c.read)
					g := cache.Generation{Epoch: 1, Seq: 1}
					p.Begin(g, []string{"v1/purged"}, time.Minute)
					p.End(g)
					done()
				}
				looking.Wait()
				if !p.Replayed() {
					t.Error("not ready afterwards")
				}
			})
		})
	}
}

// A caller that leaves during that wait does not count as a failure of the store.
func TestCallersWhoLeaveBeforeThePurgesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPurges(cache.Generation{})
		done := p.Replay(time.Hour)
		tiers := cache.NewTiered(cache.NewMemory(0), cache.NewMemory(1<<20).Store(), p, cache.DefaultStore(), nil)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, _, err := tiers.Lookup(ctx, "v1/a"); !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		done()
		if _, _, err := tiers.Lookup(t.Context(), "v1/a"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("afterwards: %v", err)
		}
	})
}
