package metrics

import (
	"encoding/json"
	"math"
	"sync"
	"time"
)

const (
	// Step is how often Look should be called.
	Step       = 10 * time.Second
	maxSamples = 360 // an hour
	maxDays    = 31
)

// Sample is the change between two looks at the counters.
type Sample struct {
	At        time.Time `json:"at"` // of the second look
	Seconds   float64   `json:"seconds"`
	Memory    int64     `json:"hits_memory"`
	Store     int64     `json:"hits_store"`
	Stale     int64     `json:"stale"`
	Misses    int64     `json:"misses"`
	Collapsed int64     `json:"collapsed"`
	Errors    int64     `json:"errors"`
	Saved     int64     `json:"saved_bytes"`
	// P50 and P99 are the times in milliseconds within which 50 % and 99 % of the public requests were served,
	// interpolated within the histogram's buckets. 0 = no requests.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

// Day sums up one day (UTC).
type Day struct {
	Day      string `json:"day"` // 2026-11-23
	Requests int64  `json:"requests"`
	Served   int64  `json:"served_bytes"`
	Replaced int64  `json:"replaced_bytes"`
	Saved    int64  `json:"saved_bytes"`
}

// History keeps the last hour in steps and the last month in days. It has no goroutine: call Look every Step. Safe for
// concurrent use.
type History struct {
	m *Metrics

	mu      sync.Mutex
	at      time.Time // of the last look; zero = none yet
	totals  Totals
	latency []uint64
	samples []Sample
	days    []Day
}

// NewHistory makes a History of m's counts from now on.
func (m *Metrics) NewHistory(now time.Time) *History {
	g := m.gather()
	return &History{m: m, at: now, totals: g.totals(), latency: g.latency()}
}

// Look takes a sample of the time since the last look.
func (h *History) Look(now time.Time) {
	g := h.m.gather()
	t, latency := g.totals(), g.latency()
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.totals
	s := Sample{
		At: now.UTC(), Seconds: now.Sub(h.at).Seconds(), Memory: t.HitsMemory - was.HitsMemory, Store: t.HitsStore - was.HitsStore, Stale: t.Stale - was.Stale,
		Misses: t.Misses - was.Misses, Collapsed: t.Collapsed - was.Collapsed, Errors: t.Errors - was.Errors, Saved: t.SavedBytes - was.SavedBytes,
	}
	between := make([]uint64, len(latency))
	for i, n := range latency {
		between[i] = n
		if i < len(h.latency) {
			between[i] -= h.latency[i]
		}
	}
	s.P50, s.P99 = quantile(between, .5), quantile(between, .99)
	h.samples = append(h.samples, s)
	if len(h.samples) > maxSamples {
		h.samples = append([]Sample(nil), h.samples[len(h.samples)-maxSamples:]...)
	}
	h.addDay(s.At.Format(time.DateOnly), Day{
		Requests: t.Requests - was.Requests, Served: t.ServedBytes - was.ServedBytes, Replaced: t.ReplacedBytes - was.ReplacedBytes, Saved: s.Saved,
	})
	h.at, h.totals, h.latency = now, t, latency
}

// addDay adds more to a day. The caller holds mu.
func (h *History) addDay(name string, more Day) {
	if n := len(h.days); n == 0 || h.days[n-1].Day != name {
		h.days = append(h.days, Day{Day: name})
		if len(h.days) > maxDays {
			h.days = h.days[len(h.days)-maxDays:]
		}
	}
	d := &h.days[len(h.days)-1]
	d.Requests, d.Served, d.Replaced, d.Saved = d.Requests+more.Requests, d.Served+more.Served, d.Replaced+more.Replaced, d.Saved+more.Saved
}

// Recent returns the samples taken after since, the oldest first, and all days.
func (h *History) Recent(since time.Time) (samples []Sample, days []Day) {
	h.mu.Lock()
	defer h.mu.Unlock()
	samples, days = []Sample{}, append([]Day{}, h.days...)
	for _, s := range h.samples {
		if s.At.After(since) {
			samples = append(samples, s)
		}
	}
	return samples, days
}

// MarshalDays encodes the days, for RestoreDays of a later process.
func (h *History) MarshalDays() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return json.Marshal(h.days)
}

// RestoreDays restores the days of an earlier process. Call it before the first Look.
func (h *History) RestoreDays(text []byte) error {
	var days []Day
	if err := json.Unmarshal(text, &days); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.days = days[max(0, len(days)-maxDays):]
	return nil
}

// latency is the number of public requests within each of the buckets' bounds, and at the end the total.
func (g gathered) latency() []uint64 {
	sum := make([]uint64, len(secondsBuckets)+1)
	for _, m := range g["goldcrest_request_seconds"].GetMetric() {
		if !has(m, []string{"door", "public"}) {
			continue
		}
		for i, b := range m.GetHistogram().GetBucket() {
			sum[i] += b.GetCumulativeCount()
		}
		sum[len(secondsBuckets)] += m.GetHistogram().GetSampleCount()
	}
	return sum
}

// quantile is the time in milliseconds within which the fraction q of the requests was served, at most the last bound.
func quantile(counts []uint64, q float64) float64 {
	total := counts[len(counts)-1]
	if total == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(q*float64(total))))
	low, below := 0.0, uint64(0)
	for i, high := range secondsBuckets {
		if counts[i] >= rank {
			return 1000 * (low + (high-low)*float64(rank-below)/float64(counts[i]-below))
		}
		low, below = high, counts[i]
	}
	return 1000 * low
}
