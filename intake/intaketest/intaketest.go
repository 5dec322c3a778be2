// Package intaketest is the conformance suite that every Intake and every Outlet passes, and a broker in memory that
// does as well.
package intaketest

import (
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/intake"
)

// Dead is a message among the dead letters.
type Dead struct {
	ID     string
	Body   []byte
	Reason string // a fault.Kind
}

// Door is one process' connection to a broker: its Intake, its Outlet (nil = none), and how it dies.
type Door struct {
	Intake intake.Intake
	Outlet intake.Outlet
	// Kill cuts the process off the broker, as kill -9 does: nothing more reaches the broker, and what it was about to
	// say is not said. The door's calls may fail or block until their ctx ends.
	Kill func()
	// Close ends the door in peace.
	Close func()
}

// Broker is a queue for messages, its dead letters and a queue for notices, as the suite needs them. Each test gets one
// of its own, empty.
type Broker struct {
	// Open makes the door of another process to the same queues.
	Open func(t *testing.T) Door
	// Send puts a message into the queue, as a sender does; it returns when it is there.
	Send func(t *testing.T, m intake.Message)
	// Dead gives the dead letters so far.
	Dead func(t *testing.T) []Dead
	// Notices gives the notices that a receiver was given so far, in order, second deliveries too. Body, ID, Type and
	// Message are set.
	Notices func(t *testing.T) []intake.Notice
	// Restart kills the broker and starts it again with its data; nil = this test cannot.
	Restart func(t *testing.T)
}

// patience is how long the suite waits for what must happen; quiet how long it looks at what must not.
const (
	patience = 30 * time.Second
	quiet    = 300 * time.Millisecond
)

// Run holds a broker's doors against each law of Intake and Outlet. Outlets that a Door lacks are not tested.
func Run(t *testing.T, broker func(t *testing.T) Broker) {
	tests := []struct {
		name string
		test func(t *testing.T, b Broker)
	}{
		{"delivery", delivery},
		{"bodies", bodies},
		{"accepted is gone", acceptedIsGone},
		{"killed before it answers", killedBefore},
		{"killed as it answers", killedDuring},
		{"stopped in the middle", stopped},
		{"again", again},
		{"dead letters", deadLetters},
		{"duplicates", duplicates},
		{"slots", slots},
		{"panic", panics},
		{"shared", shared},
		{"broker restarted", restarted},
		{"outlet", outlet},
		{"outlet order", outletOrder},
		{"outlet killed", outletKilled},
		{"outlet after a restart", outletRestarted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, broker(t)) })
	}
}
