package pipeline

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// masterRig is a rig that keeps masters of 2000 pixels and counts their outcomes.
func masterRig(t *testing.T, change func(*Config, *Parts)) (*rig, *masterCount) {
	count := &masterCount{by: map[string]int{}}
	return newRig(t, func(c *Config, p *Parts) {
		c.Masters, p.Observer = 2000, count
		if change != nil {
			change(c, p)
		}
	}), count
}

// masterCount counts by outcome.
type masterCount struct {
	noObserver
	mu sync.Mutex
	by map[string]int
}

func (c *masterCount) Mastered(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[outcome]++
}

func (c *masterCount) want(t *testing.T, outcome string, want int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.by[outcome]; got != want {
		t.Errorf("got %d masters %s, want %d", got, outcome, want)
	}
}

// mustGet gets a variant and waits until the work after its answer is done.
func (r *rig) mustGet(t *testing.T, v variant.Ref) Answer {
	t.Helper()
	a, err := r.Get(t.Context(), v)
	if err != nil {
		t.Fatalf("%+v: %v", v.Spec, err)
	}
	synctest.Wait()
	return a
}

func (r *rig) wantFetches(t *testing.T, want int) {
	t.Helper()
	if got, released := r.origin.counts(); got != want || released != want {
		t.Errorf("got %d fetches, %d released, want %d", got, released, want)
	}
}

// The first variant of an original leaves a master. The next ones are made from it without a fetch, with the facts of
// the original, and the master is only in the store.
func TestMasterServesTheNextVariant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, nil)
		if a := r.mustGet(t, ref(100)); a.Tier != "" || a.Outcome != Miss {
			t.Errorf("the first: got %s %q", a.Outcome, a.Tier)
		}
		count.want(t, "made", 1)
		original := r.codec.originals[0].Body
		a := r.mustGet(t, ref(640))
		r.wantFetches(t, 1)
		count.want(t, "used", 1)
		if a.Outcome != Miss || a.Tier != TierMaster || a.Timings.Fetch != 0 || a.Entry.Attrs["sb"] != "35" {
			t.Errorf("the second: got %s %q, fetched in %v, attributes %v", a.Outcome, a.Tier, a.Timings.Fetch,
				a.Entry.Attrs)
		}
		last := r.codec.originals[len(r.codec.originals)-1]
		want := variant.Master{Width: 4000, Height: 3000, Format: "jpeg", Bytes: int64(len(original))}
		if !bytes.HasPrefix(last.Body, []byte("master of ")) || last.Master == nil || *last.Master != want {
			t.Errorf("the second is made from %q, %+v, want a master of %+v", last.Body, last.Master, want)
		}
		if _, ok := r.tiers.memory.Peek(master.Key(ref(1).Key())); ok || r.codec.calls != 3 {
			t.Errorf("the master is in memory, or there were %d calls, want 3", r.codec.calls)
		}
		if running := r.masters.Held(); running != 0 {
			t.Errorf("%d masters are still held", running)
		}
	})
}

// A viewer gets the answer before the master is begun. Making the master waits behind other viewers.
func TestMasterIsMadeAfterTheViewersAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
		begun, proceed := make(chan struct{}), make(chan struct{})
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			if specs[0].Master {
				close(begun)
				<-proceed
				emit(0, masterImage(2000, nil), nil)
				return nil
			}
			emit(0, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			return nil
		}
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Fatal(err)
		}
		<-begun
		count.want(t, "made", 0)
		close(proceed)
		synctest.Wait()
		count.want(t, "made", 1)
	})
}

// Warm makes the master in the call that makes the variants, and a second batch with other widths fetches nothing.
func TestMasterInTheCallOfWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, nil)
		for round, widths := range [][]int{{320, 640}, {100, 200, 300}} {
			for _, w := range r.Warm(t.Context(), refs(widths...)) {
				if w.Err != nil || w.Present {
					t.Errorf("round %d: got present %v, %v", round, w.Present, w.Err)
				}
			}
			synctest.Wait()
			if r.codec.calls != round+1 {
				t.Errorf("round %d: got %d calls, want %d", round, r.codec.calls, round+1)
			}
		}
		r.wantFetches(t, 1)
		count.want(t, "made", 1)
		count.want(t, "used", 3)
		if running := r.originals.Gate().Load().Running; running != 0 {
			t.Errorf("%d fetch slots are still held", running)
		}
	})
}

// Variants that the master cannot serve as well as the original are made from the original.
func TestMasterTooSmall(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*variant.Spec)
		fetch  bool
	}{
		"three quarters":       {func(s *variant.Spec) { s.Width = 1500 }, false},
		"more than that":       {func(s *variant.Spec) { s.Width = 1501 }, true},
		"full size":            {func(s *variant.Spec) { s.Width = 0 }, true},
		"a density of three":   {func(s *variant.Spec) { s.Width, s.DPR = 600, 3 }, true},
		"a small part":         {func(s *variant.Spec) { s.Crop = variant.Crop{Width: 500, Height: 500}; s.Width = 400 }, true},
		"a large part":         {func(s *variant.Spec) { s.Crop = variant.Crop{Width: 0.5, Height: 0.5}; s.Width = 400 }, false},
		"trimmed":              {func(s *variant.Spec) { s.Trim.On = true }, true},
		"as it lies":           {func(s *variant.Spec) { s.KeepOrientation = true }, true},
		"a checksum":           {func(s *variant.Spec) { s.HashType, s.HashSum = "md5", "d1967ea0e91b9d2f0c3ef6e6cd4e6a6f" }, true},
		"without loss":         {func(s *variant.Spec) { s.Format = variant.PNG }, true},
		"a palette":            {func(s *variant.Spec) { s.Format, s.Quality = variant.PNG, 80 }, false},
		"upright, by its tall": {func(s *variant.Spec) { s.Width, s.Height = 0, 1125 }, false},
		"turned":               {func(s *variant.Spec) { s.Width, s.Rotate = 1126, 90 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := masterRig(t, nil)
				r.mustGet(t, ref(100))
				v := ref(400)
				tt.change(&v.Spec)
				_, err := r.Get(t.Context(), v)
				if v.Spec.HashSum == "" && err != nil {
					t.Error(err)
				}
				synctest.Wait()
				want := map[bool]int{false: 1, true: 2}[tt.fetch]
				if got, _ := r.origin.counts(); got != want {
					t.Errorf("got %d fetches, want %d", got, want)
				}
			})
		})
	}
}

// If an original is gone, its master serves what it can until it is purged.
func TestMasterOfAGoneOriginal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := masterRig(t, nil)
		r.mustGet(t, ref(100))
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceNotFound, "test", "gone", nil)
		}
		r.mustGet(t, ref(200))
		got := r.Warm(t.Context(), refs(300, 3000))
		if got[0].Err != nil {
			t.Errorf("what the master serves: %v", got[0].Err)
		}
		wantKind(t, got[1].Err, fault.SourceNotFound)
		synctest.Wait()
		if _, err := r.Purge(t.Context(), Selector{Refs: refs(1)}); err != nil {
			t.Fatal(err)
		}
		_, err := r.Get(t.Context(), ref(400))
		wantKind(t, err, fault.SourceNotFound)
		synctest.Wait()
		if l := r.Load(); l != (Load{}) {
			t.Errorf("got %+v at the end", l)
		}
	})
}

// With a master past its lifetime the origin is asked. The master serves if the origin fails, as an old entry does. A
// variant made from a master is as old as the master.
func TestExpiredMasterIsRevalidatedOrServedOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := masterRig(t, func(c *Config, _ *Parts) { c.TTL, c.StaleIfError = time.Hour, 2*time.Hour })
		r.mustGet(t, ref(100))
		time.Sleep(40 * time.Minute)
		r.mustGet(t, ref(200))
		r.wantFetches(t, 1)
		time.Sleep(40 * time.Minute) // the master and the second variant are 80 minutes old
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceNotFound, "test", "gone", nil)
		}
		if a := r.mustGet(t, ref(300)); a.Tier != TierMaster {
			t.Errorf("got tier %q, want the old master to stand in", a.Tier)
		}
		r.origin.onFetch = nil
		if a := r.mustGet(t, ref(200)); a.Outcome != Miss || a.Tier != "" {
			t.Errorf("got %s %q, want what came of the master made anew of the original", a.Outcome, a.Tier)
		}
		if a := r.mustGet(t, ref(400)); a.Tier != TierMaster {
			t.Errorf("got tier %q, want the new master", a.Tier)
		}
		time.Sleep(4 * time.Hour)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceNotFound, "test", "gone", nil)
		}
		_, err := r.Get(t.Context(), ref(500))
		wantKind(t, err, fault.SourceNotFound)
		synctest.Wait()
	})
}

// A master that no worker can read is removed. One of an older recipe is replaced by the next fill that fetches.
func TestBadMasters(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Poison, fault.DecodeFailed} {
		synctest.Test(t, func(t *testing.T) {
			r, count := masterRig(t, nil)
			r.mustGet(t, ref(100))
			r.codec.onTransform = func(context.Context, []variant.Spec, func(int, variant.Image, error)) error {
				return fault.New(kind, "test", "no", nil)
			}
			_, err := r.Get(t.Context(), ref(200))
			wantKind(t, err, kind)
			r.codec.onTransform = nil
			r.mustGet(t, ref(200))
			r.wantFetches(t, 2)
			count.want(t, "made", 2)
			key := master.Key(ref(1).Key())
			e := r.tiers.store[key]
			e.Recipe = variant.MasterRecipe - 1
			r.tiers.store[key] = e
			r.mustGet(t, ref(300))
			count.want(t, "made", 3)
			r.wantFetches(t, 3)
		})
	}
}

// No master is made of originals that must not be stored, of animations, or of more originals at a time than may be
// held.
func TestNoMasterForAnimationsUnstorableOrTooManyOriginals(t *testing.T) {
	for name, tt := range map[string]struct {
		original origin.Original
		honour   bool
	}{
		"private":   {origin.Original{Body: []byte("x"), Fresh: origin.Freshness{Private: true}}, true},
		"animation": {origin.Original{Body: []byte("x"), Info: sniff.Info{Format: "gif", Frames: 2}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, count := masterRig(t, func(c *Config, _ *Parts) { c.HonourOrigin = tt.honour })
				r.origin.onFetch = func(context.Context, string) (origin.Original, error) { return tt.original, nil }
				r.mustGet(t, ref(100))
				r.mustGet(t, ref(200))
				count.want(t, "made", 0)
				r.wantFetches(t, 2)
			})
		})
	}
	t.Run("too many", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, count := masterRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 2 })
			hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing)) // the other one is reserved for viewers
			for i := range mastersBehind + 3 {
				if _, err := r.Get(t.Context(), other(i)); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			count.want(t, "dropped", 3)
			hold()
			time.Sleep(2 * gate.ViewerHold)
			synctest.Wait()
			count.want(t, "made", mastersBehind)
		})
	})
}

// Close does not wait for masters that have not begun.
func TestCloseForgetsMasters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 2 })
		one, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
		if _, err := r.Get(t.Context(), ref(100)); err != nil { // one slot is now reserved for viewers
			t.Fatal(err)
		}
		start := time.Now()
		if err := r.Close(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("closed after %v: %v", time.Since(start), err)
		}
		count.want(t, "dropped", 1)
		one()
	})
}

// Without masters nothing is read, made or counted.
func TestWithoutMasters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.mustGet(t, ref(100))
		r.mustGet(t, ref(200))
		r.wantFetches(t, 2)
		if r.tiers.reads != 0 || r.codec.calls != 2 {
			t.Errorf("got %d reads, %d calls", r.tiers.reads, r.codec.calls)
		}
	})
}

// One download gives at most one master, however many fills shared it.
func TestMasterOncePerDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, count := masterRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
		hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
		for _, w := range []int{100, 200, 300} {
			go func() { _, _ = r.Get(context.Background(), ref(w)) }()
			synctest.Wait()
		}
		hold()
		synctest.Wait()
		count.want(t, "made", 1)
		r.wantFetches(t, 1)
	})
}
