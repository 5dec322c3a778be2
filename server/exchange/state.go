package exchange

import (
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pressure"
)

// State is the state of the server, for both listeners. Safe for concurrent use.
type State struct {
	Pressure func() pressure.Step // how short memory is; nil = never
	Started  func() bool          // false while the server still reads what it needs to serve; nil = it needs nothing
	Draining atomic.Bool          // the server is stopping

	running atomic.Int64 // image requests
	last    atomic.Int64 // when the last one began, in Unix nanoseconds
}

// Enter counts an image request that begins; the caller must call Leave.
func (s *State) Enter(now time.Time) {
	s.running.Add(1)
	s.last.Store(now.UnixNano())
}

// Leave counts an image request that has ended.
func (s *State) Leave() { s.running.Add(-1) }

// Quiet reports whether no image request runs, and none has begun for a time.
func (s *State) Quiet(now time.Time, lull time.Duration) bool {
	return s.running.Load() == 0 && now.Sub(time.Unix(0, s.last.Load())) >= lull
}

// Ready returns why no requests should be sent to this server; nil = they may.
func (s *State) Ready() error {
	switch {
	case s.Draining.Load():
		return fault.New(fault.ShuttingDown, "exchange.Ready", "this server is shutting down", nil)
	case s.Started != nil && !s.Started():
		return fault.New(fault.Overloaded, "exchange.Ready", "this server is starting", nil).After(time.Second)
	}
	return s.Short(pressure.Refuse)
}

// Step is how short memory is.
func (s *State) Step() pressure.Step {
	if s.Pressure == nil {
		return pressure.Normal
	}
	return s.Pressure()
}

// Short refuses a request if memory is too short for it.
func (s *State) Short(from pressure.Step) error {
	if s.Step() < from {
		return nil
	}
	return fault.New(fault.Overloaded, "exchange.Short", "this server is short of memory; try again shortly", nil).
		After(5 * time.Second)
}
