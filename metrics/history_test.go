package metrics

import (
	"fmt"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 23, 23, 59, 50, 0, time.UTC)

// A sample holds what happened since the last look and nothing else; a day's end divides the days.
func TestHistoryKeepsStepsAndDays(t *testing.T) {
	m := New()
	hit := Request{Door: "public", Status: 200, Outcome: "hit", Tier: "memory", Format: "webp", Bytes: 30, Original: 100, Elapsed: 3 * time.Millisecond}
	m.Request(hit) // Before the history began.
	h := m.NewHistory(began.Add(-10 * time.Second))
	m.Request(hit)
	m.Request(hit)
	m.Request(Request{Door: "private", Status: 200, Elapsed: time.Minute})
	h.Look(began)
	m.Request(Request{Door: "public", Status: 200, Outcome: "miss", Format: "webp", Bytes: 40, Original: 100, Elapsed: 400 * time.Millisecond})
	m.Request(Request{Door: "public", Status: 200, Outcome: "hit", Tier: "store", Format: "webp", Bytes: 40, Original: 100, Elapsed: 400 * time.Millisecond})
	m.Request(Request{Door: "public", Status: 404, Kind: "source_not_found"})
	h.Look(began.Add(10 * time.Second))
	h.Look(began.Add(20 * time.Second))
	samples, days := h.Recent(time.Time{})
	if len(samples) != 3 || len(days) != 2 {
		t.Fatalf("got %+v\n%+v", samples, days)
	}
	for i, want := range []Sample{
		{At: began, Seconds: 10, Memory: 2, Saved: 140, P50: 3, P99: 5},
		{At: began.Add(10 * time.Second), Seconds: 10, Store: 1, Misses: 1, Errors: 1, Saved: 120, P50: 375, P99: 500},
		{At: began.Add(20 * time.Second), Seconds: 10},
	} {
		if samples[i] != want {
			t.Errorf("sample %d: got %+v\nwant %+v", i, samples[i], want)
		}
	}
	if want := (Day{"2026-11-23", 2, 60, 200, 140}); days[0] != want {
		t.Errorf("got the day %+v, want %+v", days[0], want)
	}
	if want := (Day{"2026-11-24", 2, 80, 200, 120}); days[1] != want {
		t.Errorf("got the day %+v, want %+v", days[1], want)
	}
	if later, _ := h.Recent(began.Add(10 * time.Second)); len(later) != 1 {
		t.Errorf("got %d samples after the second", len(later))
	}
}

// The history is bounded, and its days pass to the next process.
func TestHistoryIsBoundedAndRestored(t *testing.T) {
	h := New().NewHistory(began)
	for i := range maxSamples + 50 {
		h.Look(began.Add(time.Duration(i) * 4 * time.Hour))
	}
	samples, days := h.Recent(time.Time{})
	if len(samples) != maxSamples || len(days) != maxDays {
		t.Errorf("got %d samples and %d days", len(samples), len(days))
	}
	text, err := h.MarshalDays()
	if err != nil {
		t.Fatal(err)
	}
	next := New().NewHistory(began)
	if err := next.RestoreDays(text); err != nil {
		t.Fatal(err)
	}
	if _, again := next.Recent(time.Time{}); fmt.Sprint(again) != fmt.Sprint(days) {
		t.Errorf("got the days %v, want %v", again, days)
	}
	if err := next.RestoreDays([]byte("nonsense")); err == nil {
		t.Error("nonsense was taken")
	}
}
