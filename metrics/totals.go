package metrics

import (
	dto "github.com/prometheus/client_model/go"
)

// Totals sums up this process since its start.
type Totals struct {
	Requests      int64 `json:"requests"` // answered with a picture
	Hits          int64 `json:"hits"`     // of them from memory or store
	HitsMemory    int64 `json:"hits_memory"`
	HitsStore     int64 `json:"hits_store"`
	Stale         int64 `json:"stale"`
	Misses        int64 `json:"misses"`
	Collapsed     int64 `json:"collapsed"`
	Errors        int64 `json:"errors"` // refusals and failures on the public listener
	ServedBytes   int64 `json:"served_bytes"`
	ReplacedBytes int64 `json:"replaced_bytes"` // of the originals that the sent variants replaced
	SavedBytes    int64 `json:"saved_bytes"`    // replaced minus sent; negative if more was sent
	Fetches       int64 `json:"fetches"`
	FetchFailures int64 `json:"fetch_failures"` // of the fetches
	StoreFailures int64 `json:"store_failures"` // failed operations on the store, and those skipped because it fails
	Transforms    int64 `json:"transforms"`
	Units         int64 `json:"data_units"`
	Made          int64 `json:"made"`   // variants made for Data Units
	Broken        int64 `json:"broken"` // variants of Data Units with a broken source
}

// Totals reads the counters. It costs a scrape.
func (m *Metrics) Totals() Totals { return m.gather().totals() }

// gathered are the metrics at one moment, by their names without prefix.
type gathered map[string]*dto.MetricFamily

// gather reads all metrics. If a collector fails, only its family is missing.
func (m *Metrics) gather() gathered {
	families, _ := m.registry.Gather()
	out := make(gathered, len(families))
	for _, f := range families {
		out[f.GetName()] = f
	}
	return out
}

func (g gathered) totals() Totals {
	t := Totals{
		Hits: g.sum("requests_total", "outcome", "hit"), Stale: g.sum("requests_total", "outcome", "stale"),
		HitsMemory: g.sum("requests_total", "outcome", "hit", "tier", "memory"), HitsStore: g.sum("requests_total", "outcome", "hit", "tier", "store"),
		Misses: g.sum("requests_total", "outcome", "miss"), Collapsed: g.sum("requests_total", "outcome", "collapsed"),
		Errors: g.sum("requests_total", "door", "public", "outcome", "error"), ServedBytes: g.sum("served_bytes_total") - g.sum("served_bytes_total", "format", "none"),
		ReplacedBytes: g.sum("replaced_bytes_total"), SavedBytes: g.sum("replaced_bytes_total") - g.sum("replacing_bytes_total"),
		Fetches: g.sum("fetches_total"), FetchFailures: g.sum("fetches_total") - g.sum("fetches_total", "kind", "none"),
		StoreFailures: g.sum("store_operations_total", "outcome", "error") + g.sum("store_operations_total", "outcome", "hung") + g.sum("store_operations_total", "outcome", "open"),
		Transforms:    g.sum("transforms_total"), Units: g.sum("prewarm_units_total"),
		Made: g.sum("prewarm_verdicts_total", "state", "made"), Broken: g.sum("prewarm_verdicts_total", "state", "broken"),
	}
	t.Requests = t.Hits + t.Stale + t.Misses + t.Collapsed
	return t
}

// sum adds up the samples of a family of counters with some label values (name, value, name, value ...).
func (g gathered) sum(name string, labels ...string) (sum int64) {
	for _, m := range g["goldcrest_"+name].GetMetric() {
		if has(m, labels) {
			sum += int64(m.GetCounter().GetValue())
		}
	}
	return sum
}

// has reports whether a sample has these label values.
func has(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		for _, l := range m.GetLabel() {
			if l.GetName() == labels[i] && l.GetValue() != labels[i+1] {
				return false
			}
		}
	}
	return true
}
