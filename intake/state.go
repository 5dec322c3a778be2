package intake

import (
	"context"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
)

// Stats is the current state of one intake.
type Stats struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	From      string    `json:"from"`
	To        string    `json:"to,omitempty"` // "" = verdicts are not published
	Token     string    `json:"token"`
	Paused    bool      `json:"paused"`
	Connected bool      `json:"connected"` // as far as known
	Waiting   int       `json:"waiting"`   // messages in the queue; -1 = not known
	Rate      float64   `json:"rate"`      // messages accepted per second, in the last minute
	Counts    Delivered `json:"counts"`
	LastError string    `json:"last_error,omitempty"`
	LastAt    time.Time `json:"last_error_at,omitzero"`
}

// Delivered counts messages since the instance started.
type Delivered struct {
	Accepted int64 `json:"accepted"`
	Known    int64 `json:"known"` // delivered again after acceptance
	Again    int64 `json:"again"` // refused for now
	Dead     int64 `json:"dead"`
}

func (d Delivered) sum() int64 { return d.Accepted + d.Known + d.Again + d.Dead }

// Counter is implemented by intakes that know how many messages wait in their queue.
type Counter interface {
	Waiting(ctx context.Context) (int, error)
}

// state is the state of one intake.
type state struct {
	mu        sync.Mutex
	paused    bool
	changed   chan struct{}      // closed when paused changes
	stop      context.CancelFunc // of the running Receive; nil = none
	connected bool
	waiting   int
	counts    Delivered
	marks     [rateMarks]int64 // accepted, at every tick of the last minute, oldest first
	ticks     int
	last      string
	lastAt    time.Time
}

// The rate is taken over the last minute.
const (
	watchEvery = 5 * time.Second
	rateMarks  = 13
)

func (s *state) init() { s.changed, s.waiting = make(chan struct{}), -1 }

// enter waits while the intake is paused, and returns the context of a Receive, which a pause ends. ok is false once
// ctx has ended.
func (s *state) enter(ctx context.Context) (receiving context.Context, leave func(), ok bool) {
	for {
		s.mu.Lock()
		paused, changed := s.paused, s.changed
		if !paused {
			receiving, stop := context.WithCancel(ctx)
			s.stop = stop
			s.mu.Unlock()
			return receiving, func() {
				stop()
				s.mu.Lock()
				defer s.mu.Unlock()
				s.stop, s.connected = nil, false
			}, ctx.Err() == nil
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx, func() {}, false
		}
	}
}

// pause pauses or resumes.
func (s *state) pause(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == paused {
		return
	}
	s.paused = paused
	close(s.changed)
	s.changed = make(chan struct{})
	if paused && s.stop != nil {
		s.stop()
	}
}

func (s *state) delivered() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.sum()
}

// note counts a message.
func (s *state) note(what string, f *fault.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = true
	switch what {
	case "accepted":
		s.counts.Accepted++
	case "known":
		s.counts.Known++
	case "again":
		s.counts.Again++
	case "dead":
		s.counts.Dead++
	}
	if f != nil {
		s.last, s.lastAt = string(f.Kind)+": "+f.Public, time.Now()
	}
}

// failed keeps the reason why the broker could not be used. It is shown to operators; brokers' errors contain no
// credentials.
func (s *state) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.lastAt = clip(err.Error()), time.Now()
}

// watch samples the queue and the rate until ctx ends.
func (o *one) watch(ctx context.Context) {
	counter, _ := o.intake.(Counter)
	for {
		waiting := -1
		if counter != nil {
			asking, cancel := context.WithTimeout(ctx, watchEvery)
			if n, err := counter.Waiting(asking); err == nil {
				waiting = n
			}
			cancel()
		}
		_ = o.learn(ctx) // Where the ledger does not answer, it stays as it is.
		o.door.deps.Observer.Queued(o.cfg.Name, waiting, o.state.tick(waiting))
		if pause.For(ctx, watchEvery) != nil {
			return
		}
	}
}

// tick records the current counts.
func (s *state) tick(waiting int) (paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = waiting
	s.connected = waiting >= 0
	copy(s.marks[:], s.marks[1:])
	s.marks[rateMarks-1] = s.counts.Accepted
	s.ticks = min(s.ticks+1, rateMarks)
	return s.paused
}

// rate is the number of messages accepted per second in the last minute.
func (s *state) rate() float64 {
	if s.ticks < 2 {
		return 0
	}
	n := s.marks[rateMarks-1] - s.marks[rateMarks-s.ticks]
	return float64(n) / (time.Duration(s.ticks-1) * watchEvery).Seconds()
}

// Stats returns the state of all intakes, in the order of the configuration.
func (d *Door) Stats() []Stats {
	out := make([]Stats, 0, len(d.all))
	for _, o := range d.all {
		s := &o.state
		s.mu.Lock()
		out = append(out, Stats{
			Name: o.cfg.Name, Kind: o.cfg.Broker.Kind, From: o.cfg.Broker.From, To: o.cfg.Verdicts.To,
			Token:  o.cfg.Token,
			Paused: s.paused, Connected: s.connected, Waiting: s.waiting, Rate: s.rate(), Counts: s.counts,
			LastError: s.last, LastAt: s.lastAt,
		})
		s.mu.Unlock()
	}
	return out
}
