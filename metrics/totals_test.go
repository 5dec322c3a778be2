package metrics

import "testing"

func TestTotalsSumTheCounters(t *testing.T) {
	m := New()
	for range 3 {
		m.Request(Request{Door: "public", Status: 200, Outcome: "hit", Tier: "memory", Format: "webp", Bytes: 30, Original: 100})
	}
	m.Request(Request{Door: "public", Status: 200, Outcome: "stale", Tier: "store", Format: "avif", Bytes: 10, Original: 100})
	m.Request(Request{Door: "public", Status: 200, Outcome: "miss", Format: "jpeg", Bytes: 50, Original: 40})
	m.Request(Request{Door: "public", Status: 200, Outcome: "collapsed", Format: "jpeg", Bytes: 50, Original: 40})
	m.Request(Request{Door: "public", Status: 502, Outcome: "miss", Kind: "dns_failed", Bytes: 200})
	m.Request(Request{Door: "private", Status: 200, Bytes: 1000})
	m.Request(Request{Door: "private", Status: 401, Kind: "unauthorized"})
	m.Fetched("", 0, 1)
	m.Fetched("dns_failed", 0, 0)
	m.Transformed("", 0, 0)
	m.Accepted(5, 9)
	m.Judged("made", "", 6)
	m.Judged("broken", "decode_failed", 2)
	want := Totals{
		Requests: 6, Hits: 3, HitsMemory: 3, Stale: 1, Misses: 1, Collapsed: 1, Errors: 1, ServedBytes: 200, ReplacedBytes: 480, SavedBytes: 280,
		Fetches: 2, FetchFailures: 1, Transforms: 1, Units: 5, Made: 6, Broken: 2,
	}
	if got := m.Totals(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
