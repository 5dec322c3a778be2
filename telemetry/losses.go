package telemetry

import (
	"log/slog"
	"sync"
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
