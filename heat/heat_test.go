package heat

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// meter counts what it is told.
type meter struct {
	outcomes map[string]int
	spared   int64
}

func (m *meter) Lightened(outcome string, spared int64) {
	m.outcomes[outcome]++
	m.spared += spared
}

func newCounter() (*Counter, *meter) {
	m := &meter{outcomes: map[string]int{}}
	return New(Default(), m, time.Now), m
}

// view counts as a caller does.
func view(c *Counter, key string, needed int) {
	if !c.View(key, "tag") {
		c.Begin(key, "tag", needed)
	}
}

// A key is due at the view that makes it worth it, once; and again only when its views were counted again.
func TestKeyIsDueOnceAtBreakEven(t *testing.T) {
	c, m := newCounter()
	for n := 1; n <= 20; n++ {
		view(c, "k", 5)
		if due := c.Due("k"); due != (n == 5) {
			t.Errorf("view %d: due %v", n, due)
		}
		if taken := c.Take("k"); taken != (n == 5) {
			t.Errorf("view %d: taken %v", n, taken)
		}
	}
	if views, needed := c.Read("k", "tag"); views != 20 || needed != Never {
		t.Errorf("%d views, %d needed", views, needed)
	}
	c.Queued("k", "tag", "queued")
	c.Done("k", "tag", "failed", Remake{})
	for range 5 {
		view(c, "k", 5)
	}
	if !c.Due("k") || m.outcomes["queued"] != 1 || m.outcomes["failed"] != 1 {
		t.Errorf("after a failure: due %v, %v", c.Due("k"), m.outcomes)
	}
}

// Views of one entry of a key are not those of the next, and one that never pays is only counted.
func TestViewsAreCountedPerEntry(t *testing.T) {
	c, _ := newCounter()
	c.Begin("k", "old", 2)
	c.Begin("k", "new", Never)
	for range 70_000 {
		c.View("k", "new")
	}
	if views, needed := c.Read("k", "old"); views != 1 || needed != 2 || c.Due("k") {
		t.Errorf("old: %d of %d", views, needed)
	}
	if views, needed := c.Read("k", "new"); views != maxViews || needed != Never {
		t.Errorf("new: %d of %d", views, needed)
	}
	if c.Begin("one", "tag", 1); !c.Take("one") {
		t.Error("what pays at its first view was not due")
	}
}

// A flood of keys that are asked for once each leaves the counts of what is asked for often, in the same memory.
func TestFloodOfRareKeysKeepsFrequentCounts(t *testing.T) {
	c, _ := newCounter()
	const hot = 500
	for range 10 {
		for i := range hot {
			view(c, fmt.Sprint("hot ", i), 1000)
		}
	}
	for i := range 20 * sets * ways {
		view(c, fmt.Sprint("cold ", i), 1)
	}
	kept := 0
	for i := range hot {
		if views, _ := c.Read(fmt.Sprint("hot ", i), "tag"); views == 10 {
			kept++
		}
	}
	if kept < hot*99/100 || len(c.cells) != sets*ways || len(c.due) > maxDue {
		t.Errorf("%d of %d kept, %d cells, %d due", kept, hot, len(c.cells), len(c.due))
	}
}

// Views fade by half a day, and what was seen once is forgotten.
func TestViewCountsDecayByHalfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newCounter()
		for range 8 {
			view(c, "a", 100)
		}
		view(c, "b", 100)
		time.Sleep(halfLife)
		view(c, "c", 100)
		for key, want := range map[string]int{"a": 4, "b": 0, "c": 1} {
			if got, _ := c.Read(key, "tag"); got != want {
				t.Errorf("%s: %d views, want %d", key, got, want)
			}
		}
	})
}

// Views that come at once are all counted, and make their key due once.
func TestConcurrentViews(t *testing.T) {
	c, _ := newCounter()
	c.Begin("k", "tag", 2000)
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		all.Go(func() {
			for range 500 {
				c.View("k", "tag")
				if c.Take("k") {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if views, _ := c.Read("k", "tag"); views != 4001 || taken != 1 {
		t.Errorf("%d views, taken %d times", views, taken)
	}
}

// A view costs no memory, nor does asking whether anything is due.
func TestViewsAllocateNothing(t *testing.T) {
	c, _ := newCounter()
	c.Begin("some/key", `"tag"`, 3)
	c.Begin("other", `"tag"`, 1)
	if n := testing.AllocsPerRun(1000, func() {
		c.View("some/key", `"tag"`)
		c.Due("some/key")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A Counter that is off counts nothing.
func TestDisabledCounterCountsNothing(t *testing.T) {
	c := New(Config{Hot: off}, nil, time.Now)
	if c.Begin("k", "tag", 1); !c.View("k", "tag") || c.Due("k") || c.Take("k") || c.Needed(1, 1) != Never {
		t.Error("it counts")
	}
	if views, needed := c.Read("k", "tag"); views != 0 || needed != Never {
		t.Errorf("%d, %d", views, needed)
	}
}

// The break-even is where the bytes that were sent in vain cost what the processor does.
func TestBreakEven(t *testing.T) {
	price := func(hour, gb float64) *prices { return newPrices(Config{Hot: on, PriceCPUHour: hour, PriceGB: gb}) }
	for _, tt := range []struct {
		name          string
		p             *prices
		pixels, bytes int64
		want          int
	}{
		{"a photo of 800 x 533 in 30 KB", price(0.04, 0.10), 800 * 533, 30_000, 14},
		{"the same at home, where bytes are dear", price(0.01, 0.40), 800 * 533, 30_000, 1},
		{"in 100 KB", price(0.04, 0.10), 800 * 533, 100_000, 5},
		{"free processors", price(0, 0.10), 800 * 533, 30_000, 1},
		{"free bytes", price(0.04, 0), 800 * 533, 30_000, Never},
		{"a few bytes", price(1000, 0.01), 2_000_000, 100, Never},
		{"no bytes", price(0.04, 0.10), 1, 0, Never},
	} {
		if got := tt.p.needed(tt.pixels, tt.bytes); got != tt.want {
			t.Errorf("%s: %d views, want %d", tt.name, got, tt.want)
		}
	}
	long := price(0.04, 0.10)
	long.cfg.MostCPU = time.Second
	if got := long.needed(4_000_000, 1e6); got != Never {
		t.Errorf("what would take too long: %d", got)
	}
}

// What remakes come to moves the break-even, within bounds.
func TestRemakesAdjustTheBreakEvenWithinBounds(t *testing.T) {
	c, m := newCounter()
	before := c.Needed(1e6, 1e5)
	for range 100 {
		c.Done("k", "tag", "made", Remake{Pixels: 1e6, CPU: 10 * time.Second, Before: 1000, After: 900})
	}
	if p := c.prices; math.Abs(p.rate-10) > 0.1 || math.Abs(p.share-0.1) > 0.001 || c.Needed(1e6, 1e5) <= before {
		t.Errorf("%v s, %v", p.rate, p.share)
	}
	if m.spared != 100*100 || m.outcomes["made"] != 100 {
		t.Errorf("%v, %d bytes", m.outcomes, m.spared)
	}
	for range 1000 { // What is never smaller is tried more and more rarely.
		c.Done("k", "tag", "kept", Remake{Pixels: 1e6, CPU: time.Hour, Before: 1000, After: 1000})
	}
	if p := c.prices; p.share != leastShare || p.rate > mostRate {
		t.Errorf("%v s, %v", p.rate, p.share)
	}
	p := *c.prices.copied()
	c.Done("k", "tag", "gone", Remake{Pixels: 1e6, CPU: time.Second, Before: 1000})
	c.Done("k", "tag", "made", Remake{})
	if q := c.prices; q.rate != p.rate || q.share != p.share {
		t.Error("it learned from nothing")
	}
}

// copied is what was learned so far.
func (p *prices) copied() *prices { return &prices{rate: p.rate, share: p.share} }

func TestConfigIsChecked(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{
		{Hot: "maybe"}, {Hot: on, PriceGB: -1}, {Hot: off, PriceCPUHour: math.NaN()}, {Hot: on, PriceGB: math.Inf(1)},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func BenchmarkView(b *testing.B) {
	c, _ := newCounter()
	c.Begin("3f/3f2a8c/w_480.avif", `"0123456789abcdef01234567"`, Never)
	for b.Loop() {
		c.View("3f/3f2a8c/w_480.avif", `"0123456789abcdef01234567"`)
	}
}
