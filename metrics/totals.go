package metrics

import (
	dto "github.com/prometheus/client_model/go"
)

// Totals sums up what this process has done since its start.
type Totals struct {
	Requests      int64 `json:"requests"` // answered with a picture
	Hits          int64 `json:"hits"`     // of them from memory or store
	Stale         int64 `json:"stale"`
	Misses        int64 `json:"misses"`
	Collapsed     int64 `json:"collapsed"`
	Errors        int64 `json:"errors"`
	ServedBytes   int64 `json:"served_bytes"`
	ReplacedBytes int64 `json:"replaced_bytes"` // of the originals in whose place variants were sent
	SavedBytes    int64 `json:"saved_bytes"`
	Fetches       int64 `json:"fetches"`
	Transforms    int64 `json:"transforms"`
	Units         int64 `json:"data_units"`
	Made          int64 `json:"made"`   // variants made for Data Units
	Broken        int64 `json:"broken"` // variants of Data Units whose source has to be mended
}

// Totals reads the counters. It costs a scrape.
func (m *Metrics) Totals() Totals {
	// A failing collector leaves its own family out; the others are given all the same.
	families, _ := m.registry.Gather()
	sum := func(name, label, value string) int64 {
		for _, f := range families {
			if f.GetName() == "goldcrest_"+name {
				return sumOf(f, label, value)
			}
		}
		return 0
	}
	t := Totals{
		Hits: sum("requests_total", "outcome", "hit"), Stale: sum("requests_total", "outcome", "stale"),
		Misses: sum("requests_total", "outcome", "miss"), Collapsed: sum("requests_total", "outcome", "collapsed"),
		Errors: sum("errors_total", "", ""), ServedBytes: sum("served_bytes_total", "", "") - sum("served_bytes_total", "format", "none"),
		ReplacedBytes: sum("replaced_bytes_total", "", ""), SavedBytes: sum("saved_bytes_total", "", ""),
		Fetches: sum("fetches_total", "", ""), Transforms: sum("transforms_total", "", ""), Units: sum("prewarm_units_total", "", ""),
		Made: sum("prewarm_verdicts_total", "state", "made"), Broken: sum("prewarm_verdicts_total", "state", "broken"),
	}
	t.Requests = t.Hits + t.Stale + t.Misses + t.Collapsed
	return t
}

// sumOf adds up the samples of a family that have a label's value; label "" = all.
func sumOf(f *dto.MetricFamily, label, value string) (sum int64) {
samples:
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label && l.GetValue() != value {
				continue samples
			}
		}
		sum += int64(m.GetCounter().GetValue())
	}
	return sum
}
