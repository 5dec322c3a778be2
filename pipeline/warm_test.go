package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

func refs(widths ...int) (out []variant.Ref) {
	for _, w := range widths {
		out = append(out, ref(w))
	}
	return out
}

// Warm makes the missing variants by one fetch and one transform call, and does nothing if all are stored.
func TestWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.tiers.store[ref(2).Key()] = aged(0)
		for round, want := range []struct {
			present        []bool
			fetches, calls int
		}{{[]bool{false, true, false}, 1, 1}, {[]bool{true, true, true}, 1, 1}} {
			for i, w := range r.Warm(t.Context(), refs(1, 2, 3)) {
				if i != 1 && w.Meta.Attrs["ph"] != "AAgC+/8=" {
					t.Errorf("round %d, variant %d: got the attributes %v, want its placeholder among them", round, i,
						w.Meta.Attrs)
				}
				if w.Err != nil || w.Present != want.present[i] || w.Meta.Created.IsZero() {
					t.Errorf("round %d, variant %d: got present %v, %v", round, i, w.Present, w.Err)
				}
			}
			if fetches, _ := r.origin.counts(); fetches != want.fetches || r.codec.calls != want.calls {
				t.Errorf("round %d: got %d fetches, %d calls, want %d, %d", round, fetches, r.codec.calls,
					want.fetches, want.calls)
			}
		}
		if len(r.tiers.store) != 3 || r.tiers.remembered() != 2 {
			t.Errorf("got %d stored, %d in memory, want 3 and the 2 that were made", len(r.tiers.store),
				r.tiers.remembered())
		}
	})
}

// Warm asks the store once for absent entries. It asks again after a long wait, since another instance may have stored
// the entry meanwhile. An old entry is read, since it is needed to renew it.
func TestWarmAsksTheStoreOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		old  bool
		wait time.Duration
		gets int
	}{{"absent", false, 0, 0}, {"absent, after a long wait", false, 2 * absenceLasts, 2}, {"one is old", true, 0, 2}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(cfg *Config, _ *Parts) { cfg.FetchSlots, cfg.TTL = 1, time.Hour })
				if c.old {
					r.tiers.store[ref(2).Key()] = aged(2 * time.Hour)
				}
				release, err := r.originals.Gate().Acquire(t.Context(), gate.At(gate.Viewing))
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(c.wait, release)
				for _, w := range r.Warm(t.Context(), refs(1, 2)) {
					if w.Err != nil || w.Present {
						t.Errorf("got present %v, %v", w.Present, w.Err)
					}
				}
				if r.tiers.gets != c.gets || r.tiers.puts != 2 {
					t.Errorf("got %d reads and %d writes of the store, want %d and 2", r.tiers.gets, r.tiers.puts, c.gets)
				}
			})
		})
	}
}

// Background work that waits for its host releases its fetch slot to viewers meanwhile, and acquires another later.
func TestWarmLendsItsSlotWhileTheHostIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.FetchSlots = 1 })
		free := make(chan struct{})
		r.origin.onEnter = func(source string) (bool, func()) {
			return source == ref(1).Source, func() { <-free }
		}
		warmed := make(chan []Warmed)
		go func() { warmed <- r.Warm(t.Context(), refs(1)) }()
		synctest.Wait()
		if l := r.Load(); l.Fetching != 0 || l.Fills != 1 {
			t.Errorf("while the host is busy: got %+v, want no fetch slot taken", l)
		}
		other := ref(2)
		other.Source = "https://quick.example/b.jpg"
		if _, err := r.Get(t.Context(), other); err != nil {
			t.Errorf("a viewer of another host: %v", err)
		}
		close(free)
		if w := (<-warmed)[0]; w.Err != nil {
			t.Error(w.Err)
		}
		if l := r.Load(); l.Fetching != 0 {
			t.Errorf("at the end: got %+v", l)
		}
	})
}

// Warm returns only after the store has acknowledged, and reports failures.
func TestWarmWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.tiers.onSave = func(key string, _ bool) error {
			time.Sleep(time.Minute)
			if key == ref(2).Key() {
				return errors.New("disk full")
			}
			return nil
		}
		start := time.Now()
		got := r.Warm(t.Context(), refs(1, 2))
		if got[0].Err != nil || got[1].Err == nil {
			t.Errorf("got %v and %v, want only the second to fail", got[0].Err, got[1].Err)
		}
		if time.Since(start) < time.Minute {
			t.Error("Warm returned before the store did")
		}
	})
}

// One broken variant does not fail the others; a broken original fails all.
func TestWarmFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			emit(0, variant.Image{}, fault.New(fault.ResultTooLarge, "test", "no", nil))
			emit(1, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			return nil
		}
		got := r.Warm(t.Context(), refs(1, 2))
		wantKind(t, got[0].Err, fault.ResultTooLarge)
		if got[1].Err != nil {
			t.Errorf("got %v for the good one", got[1].Err)
		}
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceError, "test", "no", fault.ErrThisFile)
		}
		for _, w := range r.Warm(t.Context(), refs(3, 4)) {
			wantKind(t, w.Err, fault.SourceError)
			if !errors.Is(w.Err, fault.ErrThisFile) {
				t.Errorf("%v does not tell that the host is well", w.Err)
			}
		}
		if l := r.originals.Gate().Load(); l.Running+l.Waiting != 0 {
			t.Errorf("got %+v at the end, want nothing", l)
		}
	})
}

// A viewer that joins a warm fill raises it to viewers' work: it passes other background work at the transform gate.
func TestViewerJoinsWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
		block := make(chan struct{})
		var order []int
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			<-block
			order = append(order, specs[0].Width)
			emit(0, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			return nil
		}
		for _, w := range []int{1, 2, 3} { // 1 holds the only slot, 2 and 3 wait behind it
			go r.Warm(context.Background(), refs(w))
			synctest.Wait()
		}
		go func() {
			if _, err := r.Get(context.Background(), ref(3)); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		close(block)
		synctest.Wait()
		if len(order) != 3 || order[1] != 3 {
			t.Errorf("got %v, want 3 right after 1", order)
		}
	})
}

// If a viewer's write was dropped because too much was pending, a Warm that joined writes it itself.
func TestWarmSavesWhatAViewerDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.tiers.onSave = func(_ string, wait bool) error {
			if !wait {
				time.Sleep(time.Second)
				return errors.New("too much is pending")
			}
			return nil
		}
		go func() {
			if _, err := r.Get(context.Background(), ref(1)); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		got := r.Warm(t.Context(), refs(1))
		if got[0].Err != nil || len(r.tiers.store) != 1 {
			t.Errorf("got %v and %d stored, want the entry stored", got[0].Err, len(r.tiers.store))
		}
		synctest.Wait()
	})
}
