package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/variant"
)

// While memory is short, Warm waits and continues afterwards. Viewers are served until CacheOnly. Cached variants are
// always served.
func TestFault34Relief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if _, err := r.Get(t.Context(), ref(1)); err != nil {
			t.Fatal(err)
		}
		r.Relieve(pressure.NoPrewarm)
		warmed := make(chan Warmed, 1)
		go func() { warmed <- r.Warm(t.Context(), []variant.Ref{ref(2)})[0] }()
		synctest.Wait()
		if w := r.Warm(t.Context(), []variant.Ref{ref(1)})[0]; !w.Present || w.Err != nil {
			t.Errorf("what is stored: %+v, want present without waiting", w)
		}
		if _, err := r.Get(t.Context(), ref(3)); err != nil {
			t.Errorf("a viewer while prewarm is stopped: %v", err)
		}
		r.Relieve(pressure.CacheOnly)
		_, err := r.Get(t.Context(), ref(4))
		wantKind(t, err, fault.Overloaded)
		if fault.Of(err).RetryAfter < time.Second {
			t.Error("without Retry-After")
		}
		for _, tier := range []string{"memory", "store"} {
			if a, err := r.Get(t.Context(), ref(1)); err != nil || a.Outcome != Hit || a.Tier != tier {
				t.Errorf("cached in %s: %v %v %v", tier, a.Outcome, a.Tier, err)
			}
			synctest.Wait()
			r.tiers.forgetAll()
		}
		if fetches, _ := r.origin.counts(); fetches != 2 || len(warmed) != 0 {
			t.Errorf("got %d fetches, %d warmed; want those of the two viewers alone", fetches, len(warmed))
		}
		r.Relieve(pressure.NoPrewarm)
		if _, err := r.Get(t.Context(), ref(4)); err != nil {
			t.Errorf("a viewer afterwards: %v", err)
		}
		if synctest.Wait(); len(warmed) != 0 {
			t.Error("warmed while prewarm is stopped")
		}
		r.Relieve(pressure.Normal)
		if w := <-warmed; w.Err != nil || w.Present {
			t.Errorf("Warm in the end: %+v", w)
		}
	})
}

// While memory is short, old entries are not remade and first stages not upgraded.
func TestFault34BackgroundRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate = time.Hour, time.Hour })
		r.get(t, 1)
		r.Relieve(pressure.NoPrewarm)
		r.get(t, 1) // it starts the upgrade
		synctest.Wait()
		if fetches, _ := r.origin.counts(); fetches != 1 {
			t.Errorf("got %d fetches, want no upgrade yet", fetches)
		}
		r.tiers.store[ref(5).Key()] = aged(90 * time.Minute)
		if a, err := r.Get(t.Context(), ref(5)); err != nil || a.Outcome != Stale {
			t.Errorf("an old entry: %v %v", a.Outcome, err)
		}
		synctest.Wait()
		if fetches, _ := r.origin.counts(); fetches != 1 {
			t.Errorf("got %d fetches, want nothing remade", fetches)
		}
		r.Relieve(pressure.Normal)
		synctest.Wait()
		if fetches, _ := r.origin.counts(); fetches != 2 {
			t.Errorf("got %d fetches, want the upgrade", fetches)
		}
	})
}
