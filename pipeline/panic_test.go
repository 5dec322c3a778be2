package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// A panic in any part of a fill becomes one internal fault, and every slot is released: there is only one of each here,
// and the next fill gets it.
func TestPanicsLoseNoSlot(t *testing.T) {
	doors := map[string]func(*testing.T, *rig) error{
		"viewer": func(t *testing.T, r *rig) error {
			_, err := r.Get(t.Context(), ref(1))
			return err
		},
		"prewarm": func(t *testing.T, r *rig) (err error) {
			defer func() { // a panic of the store in Warm itself is for its caller to catch
				if p := recover(); p != nil {
					err = fault.New(fault.Internal, "", "", nil)
				}
			}()
			return r.Warm(t.Context(), []variant.Ref{ref(1)})[0].Err
		},
		"upgrade": func(t *testing.T, r *rig) error {
			first := aged(time.Minute)
			first.Attrs[stageAttr] = "1"
			r.tiers.store[ref(1).Key()] = first
			if _, outcome := r.upgrade(t.Context(), improvement{ref: ref(1), key: ref(1).Key()}); outcome != "failed" {
				t.Errorf("the upgrade ended as %s, want failed", outcome)
			}
			return nil
		},
	}
	for name, sabotage := range map[string]func(*rig){
		"fetch, before it asks for a slot": func(r *rig) {
			r.origin.onEnter = func(string) (bool, func()) { panic("boom") }
		},
		"fetch, with a slot": func(r *rig) {
			r.origin.onFetch = func(context.Context, string) (origin.Original, error) { panic("boom") }
		},
		"look-up": func(r *rig) { r.tiers.onLookup = func(string) error { panic("boom") } },
		"look-up of the first stage": func(r *rig) {
			r.parts.Store = badStore{r.parts.Store}
		},
		"look-up of the master": func(r *rig) { r.tiers.onRead = func() { panic("boom") } },
		"transform": func(r *rig) {
			r.codec.onTransform = func(context.Context, []variant.Spec, func(int, variant.Image, error)) error { panic("boom") }
		},
		"store": func(r *rig) { r.tiers.onSave = func(string, bool) error { panic("boom") } },
	} {
		for door, ask := range doors {
			t.Run(name+", "+door, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, func(c *Config, _ *Parts) {
						c.FetchSlots, c.TransformSlots, c.Masters = 1, 1, 1000
					})
					healthy := r.parts.Store
					sabotage(r)
					switch err := ask(t, r); {
					case err == nil: // the failure was after the answer, or an upgrade had no result
					case fault.KindOf(err) != fault.Internal && name != "store":
						t.Errorf("got %v, want an internal fault", err)
					}
					synctest.Wait()
					nothingHeld(t, r)

					r.origin.onEnter, r.origin.onFetch, r.codec.onTransform, r.parts.Store = nil, nil, nil, healthy
					r.tiers.onLookup, r.tiers.onRead, r.tiers.onSave = nil, nil, nil
					if w := r.Warm(t.Context(), []variant.Ref{ref(2)})[0]; w.Err != nil {
						t.Errorf("prewarm after the panic: %v", w.Err)
					}
					if _, err := r.Get(t.Context(), ref(3)); err != nil {
						t.Errorf("a viewer after the panic: %v", err)
					}
					synctest.Wait()
					nothingHeld(t, r)
				})
			})
		}
	}
}

// nothingHeld fails the test if a slot, a booking, an original or a fill is held although nothing runs.
func nothingHeld(t *testing.T, r *rig) {
	t.Helper()
	for _, g := range []*gate.Gate{r.originals.Gate(), r.transforms} {
		if l := g.Load(); l != (gate.Load{}) {
			t.Errorf("gate %s: %+v is held; want nothing", g.Name(), l)
		}
	}
	if n := r.masters.Held(); n != 0 {
		t.Errorf("%d masters are read or made", n)
	}
	if n := r.fills.inFlight(); n != 0 {
		t.Errorf("%d fills are in the table", n)
	}
	if n := r.originals.Held(); n != 0 {
		t.Errorf("%d originals are held", n)
	}
}

// badStore panics when entries are read.
type badStore struct{ cache.Store }

func (badStore) Get(context.Context, string) (cache.Entry, error) { panic("boom") }
