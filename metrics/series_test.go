package metrics

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestMemoFindsOnceAndIsBounded(t *testing.T) {
	var m memo[int, string]
	found := map[int]int{}
	find := func(k int) string {
		found[k]++
		return strconv.Itoa(k)
	}
	for range 3 {
		for k := range maxMemo + 10 {
			if got := m.get(k, find); got != strconv.Itoa(k) {
				t.Fatalf("get(%d) = %q", k, got)
			}
		}
	}
	if len(*m.known.Load()) != maxMemo || found[0] != 1 || found[maxMemo] != 3 {
		t.Errorf("%d kept, the first found %d times, one too many %d times", len(*m.known.Load()), found[0], found[maxMemo])
	}
}

func TestRequestsAreCountedFromManyGoroutines(t *testing.T) {
	m := New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				m.Request(Request{Door: "public", Status: 200 + i%2, Outcome: "hit", Tier: "memory", Format: "webp", Bytes: 1, Original: 3})
				m.Observe("memory", "get", "hit", 0, 1)
			}
		})
	}
	wg.Wait()
	for name, want := range map[string]float64{"requests_total": 800, "request_seconds": 800, "served_bytes_total": 800, "replaced_bytes_total": 2400, "replacing_bytes_total": 800, "store_operations_total": 800, "store_bytes_total": 800} {
		if got := moved(t, m, name, nil); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		m.Observe("memory", "get", "hit", time.Microsecond, 30000)
		m.Request(Request{Door: "public", Status: 200, Outcome: "hit", Tier: "memory", Format: "webp", Bytes: 30000, Original: 300000, Elapsed: time.Millisecond})
	}
}
