package pipeline

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

var errToll = fault.New(fault.RateLimited, "test", "too many", nil)

// payer counts its calls, and refuses unless it pays.
type payer struct {
	pays  bool
	asked int
}

func (p *payer) toll() error {
	p.asked++
	if p.pays {
		return nil
	}
	return errToll
}

func TestTollIsAskedOnlyForVariantsToBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		poor, rich := &payer{}, &payer{pays: true}
		if _, err := r.GetFor(t.Context(), ref(100), Viewer{Toll: poor.toll}); !errors.Is(err, errToll) || poor.asked != 1 {
			t.Errorf("got %v after %d times, want the toll's own error", err, poor.asked)
		}
		synctest.Wait()
		if l := r.Load(); l != (Load{}) || r.origin.fetches != 0 {
			t.Errorf("got %+v and %d fetches for nothing", l, r.origin.fetches)
		}
		if _, err := r.GetFor(t.Context(), ref(100), Viewer{Toll: rich.toll}); err != nil || rich.asked != 1 {
			t.Errorf("got %v after %d times", err, rich.asked)
		}
		synctest.Wait()
		for _, tier := range []string{"memory", "store"} {
			a, err := r.GetFor(t.Context(), ref(100), Viewer{Toll: poor.toll})
			if err != nil || a.Outcome != Hit || a.Tier != tier || poor.asked != 1 {
				t.Errorf("got %v, %s from %s after %d times; want a hit for nothing", err, a.Outcome, a.Tier,
					poor.asked)
			}
			r.tiers.forgetAll()
		}
	})
}

// No caller is refused for another's limit: one caller that may have the variant made pays for all.
func TestTollIsPaidByAnyoneWhoWaits(t *testing.T) {
	for name, other := range map[string]*payer{"who may": {pays: true}, "who may not": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				r.tiers.onLookup = func(string) error { time.Sleep(time.Second); return nil }
				first := &payer{}
				got := make(chan error, 2)
				for _, p := range []*payer{first, other} {
					go func() {
						_, err := r.GetFor(t.Context(), ref(100), Viewer{Toll: p.toll})
						got <- err
					}()
					synctest.Wait()
				}
				for range 2 {
					if err := <-got; (err == nil) != other.pays {
						t.Errorf("got %v", err)
					}
				}
				if first.asked != 1 || other.asked != 1 {
					t.Errorf("asked %d and %d times, want each once", first.asked, other.asked)
				}
				synctest.Wait()
				if l := r.Load(); l != (Load{}) {
					t.Errorf("got %+v at the end", l)
				}
			})
		})
	}
}

// A variant made by prewarm is free for viewers that join it, and the toll of a viewer that joins late is not called.
func TestNoTollForJoiningAPrewarmedOrPaidVariant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.tiers.onLookup = func(string) error { time.Sleep(time.Second); return nil }
		poor := &payer{}
		got := make(chan error, 2)
		go func() {
			_, err := r.GetFor(t.Context(), ref(100), Viewer{Toll: poor.toll})
			got <- err
		}()
		synctest.Wait()
		go func() { got <- r.Warm(t.Context(), refs(100))[0].Err }()
		for range 2 {
			if err := <-got; err != nil {
				t.Errorf("got %v", err)
			}
		}
		if poor.asked != 0 {
			t.Errorf("asked %d times", poor.asked)
		}
		synctest.Wait()
	})
}

// An old entry is served instead of a refusal.
func TestOldEntryIsServedWhenTheTollIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.StaleIfError = time.Hour, 24*time.Hour })
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		if a, err := r.GetFor(t.Context(), ref(100), Viewer{Toll: (&payer{}).toll}); err != nil || a.Outcome != Stale {
			t.Errorf("got %s, %v; want the old entry", a.Outcome, err)
		}
	})
}
