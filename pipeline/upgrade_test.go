package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// upgradeRig is a pipeline whose codec makes AVIF of 100 bytes at its first stage and of size bytes at its final one.
type upgradeRig struct {
	*rig
	size int

	mu       sync.Mutex
	outcomes map[string]int
}

func (r *upgradeRig) Upgraded(outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[outcome]++
}

func (r *upgradeRig) Refused(string)      {}
func (r *upgradeRig) Filled(metrics.Fill) {}
func (r *upgradeRig) Remade(string)       {}
func (r *upgradeRig) Mastered(string)     {}

func newUpgradeRig(t *testing.T, change func(*Config, *Parts)) *upgradeRig {
	t.Helper()
	r := &upgradeRig{size: 80, outcomes: map[string]int{}}
	r.rig = newRig(t, func(c *Config, p *Parts) {
		p.Observer = r
		if change != nil {
			change(c, p)
		}
	})
	r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
		stage := r.lastStage()
		for i, s := range specs {
			img := variant.Image{Format: s.Format, Width: s.Width, Body: []byte(strings.Repeat("1", 100))}
			switch {
			case s.Format != variant.AVIF:
			case stage == variant.StageFirst:
				img.Stage = stage
			default:
				img.Body = []byte(strings.Repeat("2", r.size))
			}
			emit(i, img, nil)
		}
		return nil
	}
	t.Cleanup(func() { // at the end nothing is held and nothing waits
		if l := r.transforms.Load(); l.Running+l.Waiting != 0 {
			t.Errorf("got %+v at the end, want nothing", l)
		}
		if l := r.originals.Gate().Load(); l.Running+l.Waiting != 0 {
			t.Errorf("got %+v at the end, want nothing", l)
		}
	})
	return r
}

func (r *upgradeRig) lastStage() variant.Stage {
	r.codec.mu.Lock()
	defer r.codec.mu.Unlock()
	return r.codec.stages[len(r.codec.stages)-1]
}

// get is Get of one width as AVIF. It returns when the work after the answer has ended.
func (r *upgradeRig) get(t *testing.T, width int) Answer {
	t.Helper()
	return r.getRef(t, avif(width))
}

func (r *upgradeRig) getRef(t *testing.T, v variant.Ref) Answer {
	t.Helper()
	a, err := r.Get(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return a
}

// want compares the outcomes counted so far, the fetches and the images made.
func (r *upgradeRig) want(t *testing.T, when string, outcomes map[string]int, fetches, images int) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !maps.Equal(r.outcomes, outcomes) {
		t.Errorf("%s: got outcomes %v, want %v", when, r.outcomes, outcomes)
	}
	r.codec.mu.Lock()
	made := r.codec.images
	r.codec.mu.Unlock()
	if n, _ := r.origin.counts(); n != fetches || made != images {
		t.Errorf("%s: got %d fetches and %d images, want %d and %d", when, n, made, fetches, images)
	}
}

func avif(width int) variant.Ref {
	r := ref(width)
	r.Spec.Format = variant.AVIF
	return r
}

// both returns the entry of a width, which must be the same in memory and store.
func (r *upgradeRig) both(t *testing.T, width int) cache.Entry {
	t.Helper()
	key := avif(width).Key()
	m, _ := r.tiers.memory.Peek(key)
	s := r.tiers.store[key]
	if m.ETag != s.ETag || m.Attrs[stageAttr] != s.Attrs[stageAttr] {
		t.Errorf("memory has %s of stage %q, the store %s of stage %q", m.ETag, m.Attrs[stageAttr], s.ETag,
			s.Attrs[stageAttr])
	}
	return s
}

// A viewer that waits gets the fast encoder; work without a waiting viewer uses the good one. Without upgrades all use
// the good one.
func TestWaitingViewersGetTheFastEncoder(t *testing.T) {
	for upgrades, first := range map[int]variant.Stage{0: variant.StageFinal, 1: variant.StageFirst} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate, c.Upgrades = time.Hour, 24*time.Hour, upgrades })
			if _, err := r.Get(t.Context(), ref(1)); err != nil {
				t.Fatal(err)
			}
			if w := r.Warm(t.Context(), refs(2)); w[0].Err != nil {
				t.Fatal(w[0].Err)
			}
			time.Sleep(2 * time.Hour) // a stale entry is remade after its answer
			if a, err := r.Get(t.Context(), ref(1)); err != nil || a.Outcome != Stale {
				t.Fatalf("got %s %v, want stale", a.Outcome, err)
			}
			synctest.Wait()
			if want := []variant.Stage{first, variant.StageFinal, variant.StageFinal}; !slices.Equal(r.codec.stages, want) {
				t.Errorf("%d upgrades: got stages %v, want %v", upgrades, r.codec.stages, want)
			}
		})
	}
}

// An entry that is hit after the answer that made it is upgraded once, in memory and store. One that is not requested
// again is not upgraded.
func TestUpgradeWhenHitAgain(t *testing.T) {
	for _, tier := range []string{"memory", "store"} {
		synctest.Test(t, func(t *testing.T) {
			r := newUpgradeRig(t, nil)
			made := r.get(t, 1)
			r.want(t, "made", map[string]int{}, 1, 1)
			if made.Outcome != Miss || !isFirst(made.Entry.Meta) {
				t.Errorf("got %s of stage %q, want a first-stage miss", made.Outcome, made.Entry.Attrs[stageAttr])
			}
			if tier == "store" {
				r.tiers.forgetAll()
			}
			hit := r.get(t, 1)
			if hit.Outcome != Hit || hit.Tier != tier || hit.Entry.ETag != made.Entry.ETag {
				t.Errorf("got %s of %s, want the first stage again, from %s", hit.Outcome, hit.Tier, tier)
			}
			r.want(t, "hit again", map[string]int{"queued": 1, "made": 1}, 2, 2)
			if e := r.both(t, 1); isFirst(e.Meta) || e.ETag == made.Entry.ETag || len(e.Body) != 80 || !e.Created.After(made.Entry.Created) {
				t.Errorf("got %d bytes of stage %q, made %s", len(e.Body), e.Attrs[stageAttr], e.Created)
			}
			for range 3 {
				r.get(t, 1)
			}
			r.want(t, "final", map[string]int{"queued": 1, "made": 1}, 2, 2)
		})
	}
}

// Viewers that wait while an entry is made do not count as hits.
func TestViewersWhoWaitedForAnEntryAreNoHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			time.Sleep(time.Second)
			return origin.Original{Body: []byte("x")}, nil
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { _, _ = r.Get(t.Context(), avif(1)) })
		}
		all.Wait()
		r.want(t, "after the herd", map[string]int{}, 1, 1)
	})
}

// Other formats are final at once, and so is a first stage that the final one did not improve.
func TestUpgradeOnlyWhatIsFirstStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		for range 3 {
			if a, err := r.Get(t.Context(), ref(1)); err != nil || isFirst(a.Entry.Meta) {
				t.Errorf("WebP: got stage %q, %v", a.Entry.Attrs[stageAttr], err)
			}
			synctest.Wait()
		}
		r.want(t, "WebP", map[string]int{}, 1, 1)
	})
}

// If the final stage is not smaller, the first one stays and counts as final.
func TestUpgradeKeepsTheSmaller(t *testing.T) {
	for _, size := range []int{100, 120} {
		synctest.Test(t, func(t *testing.T) {
			r := newUpgradeRig(t, nil)
			r.size = size
			made := r.get(t, 1)
			r.get(t, 1)
			r.want(t, "hit again", map[string]int{"queued": 1, "kept": 1}, 2, 2)
			e := r.both(t, 1)
			if e.ETag != made.Entry.ETag || isFirst(e.Meta) || string(e.Body) != string(made.Entry.Body) || !e.Created.Equal(made.Entry.Created) {
				t.Errorf("got %d bytes, stage %q", len(e.Body), e.Attrs[stageAttr])
			}
			if !isFirst(made.Entry.Meta) {
				t.Error("the shared attributes of the old entry were changed")
			}
			r.get(t, 1)
			r.want(t, "final", map[string]int{"queued": 1, "kept": 1}, 2, 2)
		})
	}
}

// Recall leaves a first-stage entry to Get until its upgrade is queued, and then answers it like any other.
func TestRecallLeavesUpgradesToGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		r.get(t, 1)
		key := avif(1).Key()
		if _, ok := r.Recall(key, ""); ok {
			t.Error("a first-stage entry was answered before anybody asked for its upgrade")
		}
		busy, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
		also, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
		first := r.get(t, 1)
		if a, ok := r.Recall(key, ""); !ok || a.Entry.ETag != first.Entry.ETag {
			t.Error("an entry whose upgrade waits was not answered")
		}
		busy()
		also()
		synctest.Wait()
		if a, ok := r.Recall(key, ""); !ok || a.Entry.ETag == first.Entry.ETag || isFirst(a.Entry.Meta) {
			t.Errorf("got %v, stage %q, want the upgraded entry", ok, a.Entry.Attrs[stageAttr])
		}
	})
}

// A revalidation counts as a hit: otherwise the client that made the entry would ask with the same ETag for ever. Peek
// does not count.
func TestUpgradeAfterStat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, nil)
		r.get(t, 1)
		if _, err := r.Peek(t.Context(), avif(1)); err != nil {
			t.Fatal(err)
		}
		r.want(t, "peeked", map[string]int{}, 1, 1)
		if a, err := r.Stat(t.Context(), avif(1)); err != nil || !isFirst(a.Entry.Meta) {
			t.Fatalf("got %v, %v", a.Entry.Meta, err)
		}
		r.want(t, "asked", map[string]int{"queued": 1, "made": 1}, 2, 2)
	})
}

// An upgrade waits while viewers or prewarm use the machine, and leaves one slot free for the next piece.
func TestUpgradeWaitsForViewersAndPrewarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 2 })
		r.get(t, 1)
		time.Sleep(2 * gate.ViewerHold)
		a, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Warming))
		b, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Warming))
		r.get(t, 1)
		queued := map[string]int{"queued": 1}
		time.Sleep(time.Hour) // longer than any fill may take: waiting does not fail it
		r.want(t, "both slots taken", queued, 1, 1)
		granted := make(chan func())
		go func() {
			release, err := r.transforms.Acquire(context.Background(), gate.At(gate.Warming))
			if err != nil {
				t.Error(err)
			}
			granted <- release
		}()
		synctest.Wait()
		a()
		a = <-granted // Prewarm came later and passes it
		r.want(t, "prewarm waited", queued, 1, 1)
		a()
		r.want(t, "one slot free", queued, 1, 1)
		b()
		r.want(t, "idle", map[string]int{"queued": 1, "made": 1}, 2, 2)
	})
}

// An upgrade that has its original waits with prewarm's rank: viewers pass it, later prewarm work does not.
func TestStartedUpgradeHasPrewarmRank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TransformSlots = 1 })
		r.get(t, 1)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			time.Sleep(time.Second)
			return origin.Original{Body: []byte("original of https://c.example/a.jpg")}, nil
		}
		r.get(t, 1)
		hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Warming)) // while it fetches, prewarm takes the slot
		time.Sleep(2 * time.Second)
		order := make(chan string, 3)
		for _, w := range []gate.Rank{gate.Warming, gate.Viewing} {
			go func() {
				release, err := r.transforms.Acquire(context.Background(), gate.At(w))
				if err != nil {
					t.Error(err)
					return
				}
				r.codec.mu.Lock()
				order <- fmt.Sprint(w, " after ", r.codec.images)
				r.codec.mu.Unlock()
				time.Sleep(time.Second)
				release()
			}()
			time.Sleep(time.Millisecond)
		}
		hold()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		close(order)
		var got []string
		for o := range order {
			got = append(got, o)
		}
		if want := []string{"2 after 1", "1 after 2"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// The queue holds each key once and at most its room. A dropped key may be queued again.
func TestUpgradeQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUpgradeRig(t, func(c *Config, _ *Parts) { c.TransformSlots, c.UpgradeRoom = 1, 2 })
		get := func(width int) { // each from a source of its own: upgrades of one source might share a fetch
			v := avif(width)
			v.Source = fmt.Sprint(v.Source, "?", width)
			r.getRef(t, v)
		}
		for w := range 5 {
			get(w)
		}
		hold, _ := r.transforms.Acquire(t.Context(), gate.At(gate.Viewing))
		for range 2 {
			for w := range 5 {
				get(w)
			}
		}
		// One is at the gate, two wait, and two were dropped twice.
		r.want(t, "full", map[string]int{"queued": 3, "dropped": 4}, 5, 5)
		if got := r.Load().Upgrades; got != 3 {
			t.Errorf("got %d pending, want 3", got)
		}
		hold()
		r.want(t, "worked off", map[string]int{"queued": 3, "dropped": 4, "made": 3}, 8, 8)
		for w := range 5 {
			get(w)
		}
		r.want(t, "asked again", map[string]int{"queued": 5, "dropped": 4, "made": 5}, 10, 10)
	})
}
