package pipeline

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// near is the host of the refs' sources, far the host that they redirect to, both is the two of them.
const (
	near = reach.Hosts("c.example")
	far  = reach.Via("far.example")
	both = near + ",far.example"
)

// within is ref for a caller restricted to some hosts.
func within(width int, hosts reach.Hosts) variant.Ref {
	v := ref(width)
	v.Within = hosts
	return v
}

// redirecting makes every original come through far.
func (r *rig) redirecting() {
	r.origin.onFetch = func(_ context.Context, source string) (origin.Original, error) {
		return origin.Original{Body: []byte("original of " + source), Via: far}, nil
	}
}

// doors are all ways to get a variant or information about it.
var doors = map[string]func(*rig, context.Context, variant.Ref) error{
	"Get": func(r *rig, ctx context.Context, v variant.Ref) error {
		_, err := r.Get(ctx, v)
		return err
	},
	"Peek": func(r *rig, ctx context.Context, v variant.Ref) error {
		_, err := r.Peek(ctx, v)
		return err
	},
	"Stat": func(r *rig, ctx context.Context, v variant.Ref) error {
		_, err := r.Stat(ctx, v)
		return err
	},
	"Warm":  func(r *rig, ctx context.Context, v variant.Ref) error { return r.Warm(ctx, []variant.Ref{v})[0].Err },
	"Known": func(r *rig, ctx context.Context, v variant.Ref) error { return r.Known(ctx, []variant.Ref{v})[0].Err },
	"KnownKey": func(r *rig, ctx context.Context, v variant.Ref) error {
		_, err := r.KnownKey(ctx, v.Key(), v.Within)
		return err
	},
}

// A variant whose original came through a host that the caller may not use is neither returned nor disclosed by any
// door, from any tier, fresh or stale. Other callers get it.
func TestNoCallReturnsVariantsFetchedThroughForbiddenHosts(t *testing.T) {
	for name, ask := range doors {
		for _, tier := range []string{"memory", "store", "stale"} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate = time.Hour, 2*time.Hour })
				r.redirecting()
				if a := r.mustGet(t, ref(100)); a.Entry.Attrs[viaAttr] != string(far) {
					t.Fatalf("the attribute is %q", a.Entry.Attrs[viaAttr])
				}
				switch tier {
				case "store":
					r.tiers.forgetAll()
				case "stale":
					time.Sleep(2 * time.Hour)
				}
				err := ask(r, t.Context(), within(100, near))
				if fault.KindOf(err) != fault.SourceNotAllowed || !errors.Is(err, reach.ErrBeyond) {
					t.Errorf("%s, %s: %v", name, tier, err)
				}
				synctest.Wait()
				if fetches, _ := r.origin.counts(); fetches != 1 {
					t.Errorf("%s, %s: %d fetches", name, tier, fetches)
				}
				if _, ok := r.Recall(ref(100).Key(), near); ok {
					t.Errorf("%s: Recall gives it", tier)
				}
				for _, hosts := range []reach.Hosts{"", both} {
					if err := ask(r, t.Context(), within(100, hosts)); err != nil && !(tier == "stale" && errors.Is(err, cache.ErrMiss)) {
						t.Errorf("%s, %s within %q: %v", name, tier, hosts, err)
					}
				}
				synctest.Wait()
			})
		}
	}
}

// Callers with different allowed hosts request one variant at the same time, in either order. Each gets what it would
// get alone, and callers with the same hosts share one fetch.
func TestReachesShareNoFetch(t *testing.T) {
	for _, first := range []reach.Hosts{"", near} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			proceed := make(chan struct{})
			r.origin.onFetch = func(_ context.Context, source string) (origin.Original, error) {
				<-proceed
				return origin.Original{Body: []byte("original of " + source), Via: far}, nil
			}
			type outcome struct {
				within reach.Hosts
				err    error
			}
			outcomes := make(chan outcome, 6)
			second := near
			if first == near {
				second = ""
			}
			for _, hosts := range []reach.Hosts{first, second} {
				for _, width := range []int{100, 100, 200} {
					go func() {
						_, err := r.Get(t.Context(), within(width, hosts))
						outcomes <- outcome{hosts, err}
					}()
					synctest.Wait()
				}
			}
			close(proceed)
			for range 6 {
				if o := <-outcomes; (fault.KindOf(o.err) == fault.SourceNotAllowed) != (o.within == near) || o.within == "" && o.err != nil {
					t.Errorf("%q first, within %q: %v", first, o.within, o.err)
				}
			}
			synctest.Wait()
			if fetches, _ := r.origin.counts(); fetches != 2 {
				t.Errorf("%q first: %d fetches, want one for each reach", first, fetches)
			}
		})
	}
}

// A refusal applies to one caller: the next caller's fetch runs, and the refused original is not stored.
func TestRefusalForForbiddenHostsIsNotCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := masterRig(t, nil)
		r.redirecting()
		for range 2 {
			_, err := r.Get(t.Context(), within(100, near))
			wantKind(t, err, fault.SourceNotAllowed)
		}
		synctest.Wait()
		if len(r.tiers.store) != 0 || r.tiers.remembered() != 0 {
			t.Error("something of it was stored")
		}
		r.mustGet(t, ref(100))
	})
}

// A master keeps the provenance of its original, so it does not bypass the check.
func TestMastersKeepWithinReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, nil)
		r.redirecting()
		r.mustGet(t, ref(100))
		_, err := r.Get(t.Context(), within(640, near))
		wantKind(t, err, fault.SourceNotAllowed)
		r.wantFetches(t, 1)
		count.want(t, "used", 0)
		if a := r.mustGet(t, within(640, both)); a.Tier != TierMaster || a.Entry.Attrs[viaAttr] != string(far) {
			t.Errorf("made from %q, with %v", a.Tier, a.Entry.Attrs)
		}
		_, err = r.Get(t.Context(), within(640, near))
		wantKind(t, err, fault.SourceNotAllowed)
		r.wantFetches(t, 1)
	})
}

// A master that replaces an original is checked when it is read, since it may be another one by then.
func TestMasterReadInsteadOfOriginalIsCheckedForHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := masterRig(t, func(c *Config, _ *Parts) { c.TTL, c.StaleIfError = time.Hour, 24*time.Hour })
		r.mustGet(t, ref(100))
		time.Sleep(2 * time.Hour)
		key := master.Key(ref(100).Key())
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.ConnectFailed, "test", "down", nil)
		}
		if a := r.mustGet(t, within(640, near)); a.Tier != TierMaster {
			t.Errorf("the origin is down: made from %q", a.Tier)
		}
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			e := r.tiers.store[key]
			e.Attrs = maps.Clone(e.Attrs)
			e.Attrs[viaAttr] = string(far)
			r.tiers.store[key] = e
			return origin.Original{}, fault.New(fault.ConnectFailed, "test", "down", nil)
		}
		_, err := r.Get(t.Context(), within(320, near))
		wantKind(t, err, fault.ConnectFailed)
	})
}

// forgetVia makes all entries look like those of a version without provenance.
func (r *rig) forgetVia() {
	r.tiers.forgetAll()
	for key, e := range r.tiers.store {
		e.Attrs = maps.Clone(e.Attrs)
		delete(e.Attrs, viaAttr)
		r.tiers.store[key] = e
	}
}

// An entry without provenance serves unrestricted callers. For the others it is made again, once.
func TestOldEntriesDoNotSayWhereTheyCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, nil)
		r.mustGet(t, ref(100))
		r.forgetVia()
		if a := r.mustGet(t, ref(100)); a.Outcome != Hit {
			t.Errorf("without bounds: %s", a.Outcome)
		}
		if a := r.mustGet(t, ref(200)); a.Tier != TierMaster {
			t.Errorf("without bounds, another variant: from %q", a.Tier)
		}
		if _, known := r.tiers.store[ref(200).Key()].Attrs[viaAttr]; known {
			t.Error("what was made from an old master says more than that")
		}
		r.wantFetches(t, 1)
		for _, door := range []string{"Peek", "Stat"} {
			if err := doors[door](r, t.Context(), within(100, near)); err == nil || fault.KindOf(err) == fault.SourceNotAllowed {
				t.Errorf("%s: %v", door, err)
			}
		}
		if w := r.Known(t.Context(), []variant.Ref{within(100, near)})[0]; w.Present || w.Err != nil {
			t.Errorf("Known: %+v", w)
		}
		if a := r.mustGet(t, within(100, near)); a.Outcome != Miss || a.Tier != "" {
			t.Errorf("within bounds: %s from %q", a.Outcome, a.Tier)
		}
		r.wantFetches(t, 2)
		count.want(t, "made", 2) // The master is replaced too.
		for _, width := range []int{100, 200, 300} {
			if a := r.mustGet(t, within(width, near)); width == 100 && a.Outcome != Hit || width != 100 && a.Tier != TierMaster {
				t.Errorf("within bounds, again at %d: %s from %q", width, a.Outcome, a.Tier)
			}
		}
		r.wantFetches(t, 2)
	})
}

// A variant that is remade or upgraded after a caller's hit is fetched within that caller's hosts, and the entry
// records its provenance.
func TestRemakesStayWithinReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate = time.Hour, time.Hour })
		v := avif(100)
		v.Within = near
		r.getRef(t, v)
		r.getRef(t, v)
		r.want(t, "a hit", map[string]int{"queued": 1, "made": 1}, 1+1, 2)
		final := r.tiers.store[v.Key()]
		if via, known := final.Attrs[viaAttr]; !known || via != "" || isFirst(final.Meta) {
			t.Errorf("upgraded: %v", final.Attrs)
		}
		time.Sleep(90 * time.Minute)
		r.redirecting()
		if a := r.getRef(t, v); a.Outcome != Stale {
			t.Errorf("got %s", a.Outcome)
		}
		if now := r.tiers.store[v.Key()]; now.ETag != final.ETag || now.Created != final.Created {
			t.Error("it was remade through a host beyond the caller's reach")
		}
		v.Within = ""
		r.getRef(t, v)
		if now := r.tiers.store[v.Key()]; now.Attrs[viaAttr] != string(far) {
			t.Errorf("remade: %v", now.Attrs)
		}
		v.Within = near
		_, err := r.Get(t.Context(), v)
		wantKind(t, err, fault.SourceNotAllowed)
	})
}

// An upgrade that fails because of one caller's hosts does not pause the upgrades of other callers.
func TestUpgradesArePausedForOneReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		v := avif(100)
		v.Within = near
		r.getRef(t, v)
		r.redirecting()
		for range 3 {
			r.getRef(t, v)
		}
		r.want(t, "bounded hits", map[string]int{"queued": 1, "failed": 1}, 2, 1)
		v.Within = ""
		r.getRef(t, v)
		r.want(t, "a hit without bounds", map[string]int{"queued": 2, "failed": 1, "made": 1}, 3, 2)
	})
}

// The verdict that an original is too costly is disclosed only to callers that may have it.
func TestVerdictsKeepWithinReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := costlyRig(t, fault.TooCostly)
		r.redirecting()
		for _, hosts := range []reach.Hosts{"", near, both} {
			want := fault.TooCostly
			if hosts == near {
				want = fault.SourceNotAllowed
			}
			_, err := r.Get(t.Context(), within(100, hosts))
			wantKind(t, err, want)
			synctest.Wait()
		}
		r.wantFetches(t, 1)
	})
}

// An upgrade waits for all writes of its key, for callers with any hosts.
func TestUpgradeWaitsForWritesOfAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		proceed := make(chan struct{})
		r.tiers.onSave = func(string, bool) error {
			<-proceed
			return nil
		}
		if _, err := r.Get(t.Context(), within(100, near)); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.fills.settled(t.Context(), ref(100).Key()) }()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("a write is still to come")
		}
		close(proceed)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A hit of a restricted caller allocates no more than that of an unrestricted one, for which nothing is checked.
func TestHitsWithinReachAllocateNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.redirecting()
		r.mustGet(t, ref(100))
		key := ref(100).Key()
		allocations := func(hosts reach.Hosts) float64 {
			return testing.AllocsPerRun(100, func() {
				if _, ok := r.Recall(key, hosts); !ok {
					t.Error("no hit")
				}
			})
		}
		if free, bounded := allocations(""), allocations(both); bounded > free || free > 0 {
			t.Errorf("%v allocations without bounds, %v within", free, bounded)
		}
	})
}
