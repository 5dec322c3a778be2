package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/variant"
)

// hotRig is a pipeline whose codec makes measured AVIF of one megapixel: 80 bytes at the final stage, and size bytes by
// the slower encoder, which is worth its cost at the third view.
type hotRig struct {
	*upgradeRig
	size     int
	score    float64
	lighter  map[string]int
	spared   int64
	original heat.Config
}

func (r *hotRig) Lightened(outcome string, spared int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lighter[outcome]++
	r.spared += spared
}

// With breakEvenPrices the slower encoder is worth its cost for 80 bytes at the third view.
var breakEvenPrices = heat.Config{Hot: "on", PriceCPUHour: 0.04, PriceGB: 400}

func newHotRig(t *testing.T, cfg heat.Config, change func(*Config, *Parts)) *hotRig {
	t.Helper()
	r := &hotRig{size: 60, score: 70.2, lighter: map[string]int{}, original: cfg}
	r.upgradeRig = newUpgradeRig(t, func(c *Config, p *Parts) {
		p.Heat = heat.New(cfg, r, time.Now)
		if change != nil {
			change(c, p)
		}
	})
	r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
		stage := r.lastStage()
		for i, s := range specs {
			img := variant.Image{Format: s.Format, Width: 1000, Height: 1000, Body: []byte(strings.Repeat("1", 100)), Stage: stage}
			switch stage {
			case variant.StageFinal:
				img.Body, img.Choice = []byte(strings.Repeat("2", 80)), variant.Choice{Target: 70, Score: 70.6}
			case variant.StageHot:
				img.Body, img.Choice = []byte(strings.Repeat("3", r.size)), variant.Choice{Target: 70, Score: r.score, CPU: time.Second}
			}
			emit(i, img, nil)
		}
		return nil
	}
	return r
}

// view is a viewer that requests a picture and is sent all of it.
func (r *hotRig) view(t *testing.T, width int) Answer {
	t.Helper()
	return r.viewOf(t, avif(width))
}

func (r *hotRig) viewOf(t *testing.T, ref variant.Ref) Answer {
	t.Helper()
	a, ok := r.Recall(ref.Key(), "")
	if !ok {
		a = r.getRef(t, ref)
	}
	r.Viewed(ref.Key(), a.Entry.Meta)
	synctest.Wait()
	return a
}

// final makes the final entry of a width, as viewers' requests do.
func (r *hotRig) final(t *testing.T, width int) {
	t.Helper()
	r.view(t, width)
	r.view(t, width)
	if e := r.both(t, width); len(e.Body) != 80 {
		t.Fatalf("%d bytes, want the final stage", len(e.Body))
	}
}

// tell checks the outcomes of the slower encoder.
func (r *hotRig) tell(t *testing.T, when string, want map[string]int, spared int64) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !maps.Equal(r.lighter, want) || r.spared != spared {
		t.Errorf("%s: %v, %d bytes spared; want %v, %d", when, r.lighter, r.spared, want, spared)
	}
}

// A picture with enough views is made once more by the slower encoder at its next request: not earlier, and only once.
func TestHotIsMadeAtBreakEven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHotRig(t, breakEvenPrices, nil)
		r.final(t, 1)
		for n := range 3 {
			if a := r.view(t, 1); len(a.Entry.Body) != 80 {
				t.Errorf("view %d: %d bytes", n, len(a.Entry.Body))
			}
			r.tell(t, "before", map[string]int{}, 0)
		}
		old := r.both(t, 1)
		if a := r.view(t, 1); a.Entry.ETag != old.ETag { // this view starts it
			t.Error("somebody waited for the slower encoder")
		}
		r.tell(t, "asked again", map[string]int{"queued": 1, "made": 1}, 20)
		e := r.both(t, 1)
		if len(e.Body) != 60 || e.ETag == old.ETag || !e.Created.After(old.Created) || e.Attrs[stageAttr] != hotStage || isFirst(e.Meta) {
			t.Errorf("%d bytes of stage %q, made %s", len(e.Body), e.Attrs[stageAttr], e.Created)
		}
		for range 50 {
			if a := r.view(t, 1); a.Outcome != Hit || a.Entry.ETag != e.ETag {
				t.Errorf("%s %s, want the hot one to stay", a.Outcome, a.Entry.ETag)
			}
		}
		r.tell(t, "after", map[string]int{"queued": 1, "made": 1}, 20)
		r.want(t, "upgrades", map[string]int{"queued": 1, "made": 1}, 3, 3)
		if want := []variant.Stage{variant.StageFirst, variant.StageFinal, variant.StageHot}; !slices.Equal(r.codec.stages, want) {
			t.Errorf("stages %v", r.codec.stages)
		}
	})
}

// No view starts the slower encoder if it is off, if bytes cost nothing, if the score of the final entry is unknown, or
// if it is an animation.
func TestHotEncodeNeedsViewsCostAndAScore(t *testing.T) {
	off, free := breakEvenPrices, breakEvenPrices
	off.Hot, free.PriceGB = "off", 0
	for name, cfg := range map[string]heat.Config{
		"off": off, "free bytes": free, "not measured": breakEvenPrices, "animated": breakEvenPrices,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newHotRig(t, cfg, nil)
			r.final(t, 1)
			if name == "not measured" || name == "animated" {
				e := r.tiers.store[avif(1).Key()]
				e.Attrs = maps.Clone(e.Attrs)
				if name == "animated" {
					e.Attrs[framesAttr] = "8"
				} else {
					delete(e.Attrs, scoreAttr)
				}
				r.tiers.store[avif(1).Key()] = e
				r.tiers.forgetAll()
			}
			for range 50 {
				r.view(t, 1)
			}
			r.tell(t, name, map[string]int{}, 0)
			r.want(t, name, map[string]int{"queued": 1, "made": 1}, 2, 2)
		})
	}
}

// If the slower encoder's result is not smaller, or its score is too low, the final entry is kept and not tried again,
// not even after a restart.
func TestHotNeverLargerNorWorse(t *testing.T) {
	for name, change := range map[string]func(*hotRig){
		"as large":         func(r *hotRig) { r.size = 80 },
		"larger":           func(r *hotRig) { r.size = 90 },
		"below the target": func(r *hotRig) { r.score = 69.4 },
		"not measured":     func(r *hotRig) { r.score = 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newHotRig(t, breakEvenPrices, nil)
			change(r)
			r.final(t, 1)
			old := r.both(t, 1)
			for range 50 {
				r.view(t, 1)
			}
			r.tell(t, name, map[string]int{"queued": 1, "kept": 1}, 0)
			e := r.both(t, 1)
			if e.ETag != old.ETag || string(e.Body) != string(old.Body) || e.Attrs[stageAttr] != hotStage || old.Attrs[stageAttr] != "" {
				t.Errorf("%s: %d bytes of stage %q", name, len(e.Body), e.Attrs[stageAttr])
			}
			again := newHotRig(t, breakEvenPrices, nil)
			again.tiers.store = r.tiers.store
			for range 50 {
				again.view(t, 1)
			}
			again.tell(t, name+", after a restart", map[string]int{}, 0)
		})
	}
}

// A final entry that missed its target is replaced by a hot one that is no worse.
func TestHotEntryReplacesAFinalOneThatMissedItsTarget(t *testing.T) {
	entry := func(bytes int, score string) cache.Entry {
		return cache.Entry{Body: make([]byte, bytes), Meta: cache.Meta{Attrs: map[string]string{scoreAttr: score, targetAttr: "70"}}}
	}
	for _, tt := range []struct {
		final, hot string
		kept       bool
	}{{"65.0", "65.0", false}, {"65.0", "64.9", true}, {"75.0", "69.5", false}, {"75.0", "69.4", true}} {
		if _, kept := lighter(entry(80, tt.final), entry(60, tt.hot)); kept != tt.kept {
			t.Errorf("final %s, hot %s: kept %v", tt.final, tt.hot, kept)
		}
	}
}

// Hot entries wait behind all upgrades. While memory is short, none starts.
func TestHotEncodesWaitBehindAllUpgrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHotRig(t, breakEvenPrices, nil)
		r.final(t, 1)
		for range 3 {
			r.view(t, 1)
		}
		r.Relieve(pressure.NoPrewarm)
		other := func(width int) variant.Ref { // a source of its own, so that nothing is shared
			v := avif(width)
			v.Source = fmt.Sprint(v.Source, "?", width)
			return v
		}
		for w := 2; w <= 4; w++ {
			r.viewOf(t, other(w))
		}
		r.viewOf(t, other(2)) // the worker takes this one and waits for memory with it
		r.view(t, 1)
		r.viewOf(t, other(3))
		r.viewOf(t, other(4))
		time.Sleep(time.Hour)
		r.tell(t, "short of memory", map[string]int{"queued": 1}, 0)
		began := len(r.codec.stages)
		r.Relieve(pressure.Normal)
		r.tell(t, "relieved", map[string]int{"queued": 1, "made": 1}, 20)
		want := []variant.Stage{variant.StageFinal, variant.StageFinal, variant.StageFinal, variant.StageHot}
		if got := r.codec.stages[began:]; !slices.Equal(got, want) {
			t.Errorf("stages %v, want the hot one last", got)
		}
	})
}

// A purge wins over the slower encoder. The views of a new entry count from zero.
func TestPurgeWinsOverHot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHotRig(t, breakEvenPrices, nil)
		r.final(t, 1)
		for range 3 {
			r.view(t, 1)
		}
		r.Relieve(pressure.NoPrewarm)
		r.view(t, 1)
		r.tell(t, "queued", map[string]int{"queued": 1}, 0)
		if _, err := r.Purge(t.Context(), Selector{Refs: []variant.Ref{avif(1)}}); err != nil {
			t.Fatal(err)
		}
		r.Relieve(pressure.Normal)
		r.tell(t, "purged", map[string]int{"queued": 1, "gone": 1}, 0)
		if _, ok := r.tiers.store[avif(1).Key()]; ok {
			t.Error("what was purged is stored again")
		}
		r.final(t, 1)
		for range 4 {
			r.view(t, 1)
		}
		r.tell(t, "made anew", map[string]int{"queued": 2, "gone": 1, "made": 1}, 20)
	})
}

// An entry that another instance has made meanwhile is used, and nothing is fetched.
func TestHotOfAnotherInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHotRig(t, breakEvenPrices, nil)
		r.final(t, 1)
		for range 3 {
			r.view(t, 1)
		}
		theirs := r.tiers.store[avif(1).Key()]
		theirs.Attrs = maps.Clone(theirs.Attrs)
		theirs.Attrs[stageAttr], theirs.ETag, theirs.Body = hotStage, `"theirs"`, []byte("theirs")
		theirs.Size = int64(len(theirs.Body))
		r.tiers.store[avif(1).Key()] = theirs
		r.view(t, 1)
		r.tell(t, "asked again", map[string]int{"queued": 1, "present": 1}, 0)
		if a := r.view(t, 1); a.Entry.ETag != theirs.ETag {
			t.Errorf("%s, want theirs", a.Entry.ETag)
		}
		r.want(t, "present", map[string]int{"queued": 1, "made": 1}, 2, 2)
	})
}

// The queue is shared with upgrades. The views of a dropped entry count from zero.
func TestHotIsDroppedWhereThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHotRig(t, breakEvenPrices, func(c *Config, _ *Parts) { c.UpgradeRoom = 1 })
		r.final(t, 1)
		r.Relieve(pressure.NoPrewarm)
		for w := 2; w <= 3; w++ { // one is with the worker, one waits
			r.view(t, w)
			r.view(t, w)
		}
		for range 4 {
			r.view(t, 1)
		}
		r.tell(t, "full", map[string]int{"dropped": 1}, 0)
		r.Relieve(pressure.Normal)
		for range 4 {
			r.view(t, 1)
		}
		r.tell(t, "again", map[string]int{"dropped": 1, "queued": 1, "made": 1}, 20)
	})
}

// Peek returns how often an entry was viewed, and when the slower encoder is worth its cost.
func TestPeekTellsViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHotRig(t, breakEvenPrices, nil)
		r.final(t, 1)
		for n := range 6 {
			a, err := r.Peek(t.Context(), avif(1))
			if err != nil {
				t.Fatal(err)
			}
			views, needed := n, 3
			if n >= 4 { // made at the fourth view, which still got the final entry; later views got the hot one
				views, needed = n-4, 0
			}
			if a.Views != views || a.Needed != needed {
				t.Errorf("after %d views: %d of %d, want %d of %d", n, a.Views, a.Needed, views, needed)
			}
			r.view(t, 1)
		}
	})
}
