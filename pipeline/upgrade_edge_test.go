package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// If the original is gone or has changed, the first stage stays and is not tried again for a while; a purge ends that.
func TestUpgradeFails(t *testing.T) {
	for name, onFetch := range map[string]func(context.Context, string) (origin.Original, error){
		"gone": func(context.Context, string) (origin.Original, error) {
			return origin.Original{}, fault.New(fault.SourceNotFound, "test", "gone", nil)
		},
		"changed": func(context.Context, string) (origin.Original, error) {
			return origin.Original{Body: []byte("another one")}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newUpgradeRig(t, nil)
				made := r.get(t, 1)
				r.origin.onFetch = onFetch
				for range 10 {
					if a := r.get(t, 1); a.Outcome != Hit || a.Entry.ETag != made.Entry.ETag {
						t.Errorf("got %s %s, want the first stage", a.Outcome, a.Entry.ETag)
					}
				}
				r.want(t, "hit ten times", map[string]int{"queued": 1, "failed": 1}, 2, 1)
				if _, ok := r.Recall(avif(1).Key(), ""); !ok || !isFirst(r.both(t, 1).Meta) {
					t.Error("the first stage is not answered from memory")
				}
				time.Sleep(upgradePause)
				r.get(t, 1)
				r.want(t, "after the pause", map[string]int{"queued": 2, "failed": 2}, 3, 1)
				if _, err := r.Purge(t.Context(), Selector{Refs: []variant.Ref{avif(1)}}); err != nil {
					t.Fatal(err)
				}
				r.origin.onFetch = nil
				r.get(t, 1)
				r.get(t, 1)
				r.want(t, "after a purge", map[string]int{"queued": 3, "failed": 2, "made": 1}, 5, 3)
			})
		})
	}
}

// The number of remembered failed upgrades is bounded.
func TestUpgradePausesAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	var u upgrades
	u.open(Default(), func() time.Time { return now })
	for i := range maxPaused + 100 {
		u.done(fmt.Sprint(i), "", true)
	}
	if len(u.paused) != maxPaused || u.wants(fmt.Sprint(maxPaused+99), "") {
		t.Errorf("got %d paused, the last among them: %v", len(u.paused), !u.wants(fmt.Sprint(maxPaused+99), ""))
	}
	now = now.Add(upgradePause)
	if u.done("next", "", true); len(u.paused) != 1 {
		t.Errorf("got %d paused, want the expired ones forgotten", len(u.paused))
	}
}

// If the store fails, the first stage stays in all tiers, so that readers never see the two stages in turn.
func TestUpgradeNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		made := r.get(t, 1)
		r.tiers.onSave = func(string, bool) error { return errors.New("disk full") }
		r.get(t, 1)
		r.want(t, "hit again", map[string]int{"queued": 1, "failed": 1}, 2, 2)
		if e := r.both(t, 1); e.ETag != made.Entry.ETag {
			t.Error("the entry was replaced")
		}
	})
}

// An upgrade waits for the viewer's own write, which would otherwise overwrite it.
func TestUpgradeAfterTheFirstWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		r.tiers.onSave = func(_ string, wait bool) error {
			if !wait {
				time.Sleep(time.Minute)
			}
			return nil
		}
		r.get(t, 1)
		r.get(t, 1)
		r.want(t, "the first write is under way", map[string]int{"queued": 1}, 1, 1)
		time.Sleep(time.Minute)
		r.want(t, "it landed", map[string]int{"queued": 1, "made": 1}, 2, 2)
		if isFirst(r.both(t, 1).Meta) {
			t.Error("the first stage is stored")
		}
	})
}

// A purge wins over an upgrade that waits, one that is being made, and one whose original came before it.
func TestPurgeWinsOverUpgrade(t *testing.T) {
	for _, when := range []string{"queued", "fetching", "transforming"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
				r.get(t, 1)
				hold := func() {}
				r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
					time.Sleep(time.Second)
					return origin.Original{Body: []byte("original of https://c.example/a.jpg")}, nil
				}
				if when == "queued" {
					hold, _ = r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
				}
				r.get(t, 1)
				if when == "transforming" {
					hold, _ = r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
					time.Sleep(2 * time.Second)
				}
				if _, err := r.Purge(t.Context(), Selector{Refs: []variant.Ref{avif(1)}}); err != nil {
					t.Fatal(err)
				}
				hold()
				time.Sleep(time.Minute)
				synctest.Wait()
				if r.outcomes["gone"] != 1 || r.tiers.remembered()+len(r.tiers.store) != 0 {
					t.Errorf("got %v, %d in memory, %d stored", r.outcomes, r.tiers.remembered(), len(r.tiers.store))
				}
			})
		})
	}
}

// An entry that another instance has upgraded is taken from the shared store, without work.
func TestUpgradeOfAnotherInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		r.get(t, 1)
		final := aged(0)
		final.ETag = `"final"`
		r.tiers.store[avif(1).Key()] = final
		r.get(t, 1)
		r.want(t, "hit again", map[string]int{"queued": 1, "present": 1}, 1, 1)
		if e := r.both(t, 1); e.ETag != final.ETag {
			t.Errorf("got %s", e.ETag)
		}
	})
}

// Prewarm makes the final stage at once. A first-stage entry that it finds, or whose fill it joins, is accepted and
// queued for its upgrade.
func TestUpgradeByWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		if w := r.Warm(t.Context(), []variant.Ref{avif(1)}); w[0].Err != nil || isFirst(w[0].Meta) {
			t.Errorf("got stage %q, %v", w[0].Meta.Attrs[stageAttr], w[0].Err)
		}
		r.want(t, "warmed", map[string]int{}, 1, 1)
		r.get(t, 2)
		if w := r.Known(t.Context(), []variant.Ref{avif(2)}); !w[0].Present {
			t.Error("a first-stage entry is not known")
		}
		r.want(t, "known", map[string]int{}, 2, 2)
		if w := r.Warm(t.Context(), []variant.Ref{avif(2)}); !w[0].Present || w[0].Err != nil {
			t.Errorf("got present %v, %v", w[0].Present, w[0].Err)
		}
		r.want(t, "found", map[string]int{"queued": 1, "made": 1}, 3, 3)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			time.Sleep(time.Second)
			return origin.Original{Body: []byte("x")}, nil
		}
		go func() { _, _ = r.Get(t.Context(), avif(3)) }()
		synctest.Wait()
		if w := r.Warm(t.Context(), []variant.Ref{avif(3)}); w[0].Present || w[0].Err != nil {
			t.Errorf("got present %v, %v, want made", w[0].Present, w[0].Err)
		}
		time.Sleep(time.Minute)
		r.want(t, "joined", map[string]int{"queued": 2, "made": 2}, 5, 5)
		r.origin.onFetch = nil
		r.get(t, 4)
		for range 2 {
			r.Improve(r.Known(t.Context(), []variant.Ref{avif(4), avif(5)}))
			r.want(t, "improved", map[string]int{"queued": 3, "made": 3}, 7, 7)
		}
	})
}

// A viewer that joins a prewarm fill waits for the final stage.
func TestViewerJoinsFinalStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			time.Sleep(time.Second)
			return origin.Original{Body: []byte("x")}, nil
		}
		go r.Warm(t.Context(), []variant.Ref{avif(1)})
		synctest.Wait()
		if a := r.get(t, 1); a.Outcome != Collapsed || isFirst(a.Entry.Meta) {
			t.Errorf("got %s of stage %q", a.Outcome, a.Entry.Attrs[stageAttr])
		}
		r.want(t, "both", map[string]int{}, 1, 1)
	})
}

// Close does not wait for upgrades that have not begun.
func TestCloseForgetsUpgrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
		r.get(t, 1)
		r.get(t, 2)
		hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
		defer hold()
		r.get(t, 1)
		r.get(t, 2)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		r.want(t, "closed", map[string]int{"queued": 2, "dropped": 1}, 2, 2)
	})
}
