package metrics

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// memo caches series by label values, since looking them up costs more than counting. It is bounded; series beyond that
// are looked up each time. The zero memo is empty. Safe for concurrent use.
type memo[K comparable, V any] struct {
	mu    sync.Mutex
	known atomic.Pointer[map[K]V] // never changed in place
}

// maxMemo is far above the number of combinations of our own words.
const maxMemo = 512

// get returns the series of k, and calls find if it is not cached.
func (m *memo[K, V]) get(k K, find func(K) V) V {
	if known := m.known.Load(); known != nil {
		if v, ok := (*known)[k]; ok {
			return v
		}
	}
	v := find(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	next := map[K]V{}
	if known := m.known.Load(); known != nil {
		if len(*known) >= maxMemo {
			return v
		}
		next = maps.Clone(*known)
	}
	next[k] = v
	m.known.Store(&next)
	return v
}

// answerLabels are the labels of a response.
type answerLabels struct {
	door, outcome, tier, format, kind string
	status                            int
}

// answerSeries are the series that a response is counted in.
type answerSeries struct {
	requests                    prometheus.Counter
	seconds                     prometheus.Observer
	errors                      prometheus.Counter // nil for successes
	served, replaced, replacing prometheus.Counter
}

// answerSeries returns the series for some labels.
func (m *Metrics) answerSeries(l answerLabels) *answerSeries {
	outcome, format := word(l.outcome), word(l.format)
	s := &answerSeries{served: m.servedBytes.WithLabelValues(format)}
	if l.kind != "" {
		outcome = "error"
		s.errors = m.errors.WithLabelValues(word(l.kind))
	}
	s.requests = m.requests.WithLabelValues(word(l.door), strconv.Itoa(l.status), outcome, word(l.tier))
	s.seconds = m.requestSeconds.WithLabelValues(word(l.door), outcome)
	s.replaced, s.replacing = m.replacedBytes.WithLabelValues(format), m.replacingBytes.WithLabelValues(format)
	return s
}

// tierLabels are the labels of an operation on a tier.
type tierLabels struct{ tier, op, outcome string }

// tierSeries are the series that an operation on a tier is counted in.
type tierSeries struct {
	ops     prometheus.Counter
	bytes   prometheus.Counter  // nil if it moves no bytes
	seconds prometheus.Observer // nil if its time is not recorded
	dropped bool                // a write that was dropped
}

func (m *Metrics) tierSeries(l tierLabels) *tierSeries {
	tier, op := word(l.tier), word(l.op)
	s := &tierSeries{ops: m.storeOps.WithLabelValues(tier, op, word(l.outcome))}
	if l.outcome != "dropped" && l.outcome != "open" {
		s.bytes = m.storeBytes.WithLabelValues(tier, op)
	}
	switch tier {
	case "memory": // on the path that must stay fast
	case "store": // a decision about a store, not an operation on it
		s.dropped = op == "put"
	default:
		s.seconds = m.storeSeconds.WithLabelValues(tier, op)
	}
	return s
}
