package cache_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

func TestMemoryIsAStore(t *testing.T) {
	cachetest.Run(t, func(*testing.T) cache.Store { return cache.NewMemory(256 << 20).Store() })
}

func entry(size int) cache.Entry { return cache.Entry{Body: make([]byte, size)} }

func key(kind string, i int) string { return fmt.Sprintf("v1/%s/%d", kind, i) }

// count says how many of n keys are in memory, without reading them.
func count(m *cache.Memory, kind string, n int) int {
	c := 0
	for i := range n {
		if _, ok := m.Peek(key(kind, i)); ok {
			c++
		}
	}
	return c
}

// warm fills m with n entries that were read twice and more, as popular ones are.
func warm(m *cache.Memory, n, size int) {
	for i := range n {
		m.Put(key("popular", i), entry(size), false)
		m.Get(key("popular", i))
	}
}

func TestMemoryScanLeavesPopularEntries(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	warm(m, 70, 10_000)
	for i := range 2000 {
		m.Put(key("scan", i), entry(10_000), false)
	}
	if got := count(m, "popular", 70); got != 70 {
		t.Errorf("%d of 70 popular entries survive a scan", got)
	}
	if got := count(m, "scan", 2000); got == 0 || got > 35 {
		t.Errorf("the scan holds %d entries, want some, and about a quarter of the bytes", got)
	}
}

func TestMemoryPrewarmFloodDisplacesNobody(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	warm(m, 50, 10_000)
	for i := range 30 { // read once
		m.Put(key("once", i), entry(10_000), false)
	}
	for i := range 2000 {
		m.Put(key("prewarm", i), entry(10_000), true)
	}
	if got := count(m, "popular", 50) + count(m, "once", 30); got != 80 {
		t.Errorf("%d of 80 viewers' entries survive a prewarm flood", got)
	}
	if got := count(m, "prewarm", 2000); got == 0 {
		t.Error("prewarmed entries do not use the free room")
	}
	if _, ok := m.Peek(key("prewarm", 1999)); !ok {
		t.Error("the newest prewarmed entry is not kept")
	}
	for i := range 30 { // viewers need the room
		m.Put(key("later", i), entry(10_000), false)
	}
	if got := count(m, "popular", 50); got != 50 {
		t.Errorf("%d of 50 popular entries are left", got)
	}
	if got := count(m, "prewarm", 2000); got != 0 {
		t.Errorf("%d prewarmed entries outlive those of viewers", got)
	}
}

func TestMemoryPrewarmedEntryReadIsAViewers(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	m.Put("v1/read", entry(10_000), true)
	m.Get("v1/read")
	m.Get("v1/read")
	for i := range 500 {
		m.Put(key("scan", i), entry(10_000), false)
	}
	if _, ok := m.Peek("v1/read"); !ok {
		t.Error("an entry made ahead and read twice was evicted by a scan")
	}
}

func TestMemoryGhostComesBackAsFrequent(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	for i := range 110 { // pushes the first ones out of the recent list, into the ghosts
		m.Put(key("a", i), entry(10_000), false)
	}
	if _, ok := m.Peek(key("a", 0)); ok {
		t.Fatal("the oldest entry is still there")
	}
	m.Put(key("a", 0), entry(10_000), false)
	for i := range 500 {
		m.Put(key("scan", i), entry(10_000), false)
	}
	if _, ok := m.Peek(key("a", 0)); !ok {
		t.Error("an entry that returned soon after its eviction did not survive a scan")
	}
}

func TestMemoryReplaceAndRefuse(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	m.Put("v1/a", entry(10), false)
	m.Put("v1/a", entry(20), true)
	if e, _ := m.Get("v1/a"); len(e.Body) != 20 {
		t.Errorf("a background Put of a present key left %d bytes, want the new 20", len(e.Body))
	}
	if m.Put("v1/a", entry(1<<20), false) {
		t.Error("an entry as large as the memory was kept")
	}
	if _, ok := m.Get("v1/a"); ok {
		t.Error("the entry that the refused one replaces is still served")
	}
	if s := m.Stats(); s.Refused != 1 || s.Hits != 1 || s.Misses != 1 || s.Bytes != 0 {
		t.Errorf("Stats = %+v", s)
	}
	off := cache.NewMemory(0)
	if off.Put("v1/a", entry(0), false) || off.Put("v1/a", entry(0), true) {
		t.Error("a memory of 0 bytes kept an entry")
	}
}

func TestMemoryBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(0, 64<<10).Draw(t, "limit")
		m := cache.NewMemory(limit)
		model := map[string]int{} // what was put last
		keys := rapid.IntRange(0, 40)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, size := key("k", keys.Draw(t, "key")), rapid.IntRange(0, 10<<10).Draw(t, "size")
				m.Put(k, entry(size), rapid.Bool().Draw(t, "background"))
				model[k] = size
			},
			"get": func(t *rapid.T) {
				k := key("k", keys.Draw(t, "key"))
				if e, ok := m.Get(k); ok && len(e.Body) != model[k] {
					t.Fatalf("Get(%s) gives %d bytes, %d were put", k, len(e.Body), model[k])
				}
			},
			"delete": func(t *rapid.T) {
				prefix := key("k", keys.Draw(t, "key"))
				m.Forget(cache.Under([]string{prefix}))
				if _, ok := m.Peek(prefix); ok {
					t.Fatalf("%s survives", prefix)
				}
			},
			"": func(t *rapid.T) {
				s := m.Stats()
				if s.Bytes > limit || s.Bytes < 0 {
					t.Fatalf("%d bytes in use of %d", s.Bytes, limit)
				}
				if s.Entries == 0 && count(m, "k", 41) != 0 || s.Entries != count(m, "k", 41) {
					t.Fatalf("%d entries counted, %d there", s.Entries, count(m, "k", 41))
				}
			},
		})
		m.Forget(func(string) bool { return true })
		if s := m.Stats(); s.Entries != 0 {
			t.Fatalf("%d entries left after all were forgotten", s.Entries)
		}
	})
}

// TestMemoryCountsWhatItCosts compares the bytes counted with what the heap grows by: the bound is worth nothing if
// small entries cost twice what is counted.
func TestMemoryCountsWhatItCosts(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	const n = 20_000
	for _, attrs := range []int{0, 8, 12} {
		before := heap()
		m := cache.NewMemory(1 << 30)
		for i := range n {
			e := entry(256)
			if attrs > 0 {
				e.Attrs = map[string]string{}
			}
			for a := range attrs {
				e.Attrs[fmt.Sprintf("a%d", a)] = fmt.Sprintf("%d", 1000+a)
			}
			m.Put(key("key-of-a-usual-length-0123456789abcdef0123456789abcdef", i), e, false)
		}
		grown, counted := heap()-before, m.Stats().Bytes
		if ratio := float64(grown) / float64(counted); ratio > 1.25 || ratio < 0.7 {
			t.Errorf("%d attributes: the heap grew by %d bytes an entry, %d are counted", attrs, grown/n, counted/n)
		}
		runtime.KeepAlive(m)
	}
}

func TestMemoryConcurrentUse(t *testing.T) {
	m := cache.NewMemory(200_000)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				k := key("c", (i*7+w)%100)
				if _, ok := m.Get(k); !ok {
					m.Put(k, entry(i), w == 0)
				}
				if i%500 == 0 {
					m.Forget(cache.Under([]string{key("c", 1)}))
				}
			}
		})
	}
	wg.Wait()
	if s := m.Stats(); s.Bytes > s.Max {
		t.Errorf("%d bytes of %d", s.Bytes, s.Max)
	}
}

func TestMemoryHitAllocatesNothing(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	m.Put("v1/hit", entry(1000), false)
	m.Get("v1/hit") // moves to the frequent list once
	if n := testing.AllocsPerRun(100, func() { m.Get("v1/hit") }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}

func BenchmarkMemoryHit(b *testing.B) {
	m := cache.NewMemory(256 << 20)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = key("bench", i)
		m.Put(keys[i], entry(30_000), false)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			m.Get(keys[i%len(keys)])
		}
	})
}

// A lower bound drops what does not fit, and takes no more; a higher one lets it grow again.
func TestFault34BoundShrinks(t *testing.T) {
	m := cache.NewMemory(1 << 20)
	put := func(from, n int) {
		for i := range n {
			m.Put(fmt.Sprint("v1/", from+i), cache.Entry{Body: make([]byte, 10<<10)}, false)
		}
	}
	put(0, 80)
	full := m.Stats()
	m.Bound(1 << 18)
	if s := m.Stats(); s.Bytes > 1<<18 || s.Entries == 0 || s.Entries >= full.Entries {
		t.Errorf("got %d entries of %d bytes after %d of %d", s.Entries, s.Bytes, full.Entries, full.Bytes)
	}
	put(100, 80)
	if s := m.Stats(); s.Bytes > 1<<18 {
		t.Errorf("got %d bytes under the lower bound", s.Bytes)
	}
	m.Bound(1 << 20)
	put(200, 80)
	if s := m.Stats(); s.Bytes < 1<<19 {
		t.Errorf("got %d bytes under the old bound again", s.Bytes)
	}
}
