package telemetry

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// lossEvery is the minimum time between two log lines about the losses of one signal.
const lossEvery = time.Minute

// losses counts what no collector accepted, and logs it at most once a minute for each signal. Safe for concurrent use.
type losses struct {
	log  *slog.Logger
	lost func(signal string, items int)
	now  func() time.Time

	mu      sync.Mutex
	signals map[string]loss
}

// loss is what is lost of one signal.
type loss struct {
	told  time.Time
	items int // not logged yet
}

// Handle implements otel.ErrorHandler.
func (l *losses) Handle(err error) { l.note("library", 0, err) }

func (l *losses) note(signal string, items int, err error) {
	if items > 0 {
		l.lost(signal, items)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.signals == nil {
		l.signals = map[string]loss{}
	}
	s, now := l.signals[signal], l.now()
	if s.items += items; s.told.IsZero() || now.Sub(s.told) >= lossEvery {
		l.log.Warn("an OTLP collector does not accept data; it is dropped", "signal", signal, "dropped", s.items,
			"error", fault.Redact(err.Error()))
		s = loss{told: now}
	}
	l.signals[signal] = s
}

// queued is the capacity of the library's queues of spans and log lines, and of a room.
const queued = 2048

// errFull is why an item is dropped before it is sent.
var errFull = errors.New("the queue is full")

// room admits what the library queues of one signal, and counts what it refuses. The library counts nothing that it
// drops, but it drops nothing while at most queued items wait. Safe for concurrent use.
type room struct {
	signal  string
	losses  *losses
	waiting atomic.Int64
}

// enter reports whether there is room for one more item. If there is none, it is counted as lost.
func (r *room) enter() bool {
	if r.waiting.Add(1) <= queued {
		return true
	}
	r.waiting.Add(-1)
	r.losses.note(r.signal, 1, errFull)
	return false
}

// leave makes room again: the library has taken items out of its queue.
func (r *room) leave(items int) { r.waiting.Add(-int64(items)) }
