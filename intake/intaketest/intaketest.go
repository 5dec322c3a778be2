// Package intaketest is the conformance suite for every Intake and every Outlet.
package intaketest

import (
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/intake"
)

// Dead is a dead letter.
type Dead struct {
	ID     string
	Body   []byte
	Reason string // a fault.Kind
}

// Door is one process' connection to a broker: its Intake, its Outlet (nil = none), and a way to kill it.
type Door struct {
	Intake intake.Intake
	Outlet intake.Outlet
	// Kill cuts the process off the broker, as kill -9 does: nothing more reaches the broker. The door's calls may fail
	// or block until their ctx ends.
	Kill func()
	// Close closes the door normally.
	Close func()
}

// Broker is a queue for messages, its dead letters and a queue for notices. Each test gets a new, empty one.
type Broker struct {
	// Open opens a connection of another process to the same queues.
	Open func(t *testing.T) Door
	// Send sends a message to the queue; it returns when it is there.
	Send func(t *testing.T, m intake.Message)
	// Dead returns the dead letters so far.
	Dead func(t *testing.T) []Dead
	// Notices returns the notices that a receiver got so far, in order, duplicates included. Body, ID, Type and Message
	// are set.
	Notices func(t *testing.T) []intake.Notice
	// Restart kills the broker and starts it again with its data; nil = this test cannot.
	Restart func(t *testing.T)
}

// patience is how long the suite waits for what must happen; quiet is how long it watches for what must not happen.
const (
	patience = 30 * time.Second
	quiet    = 300 * time.Millisecond
)

// Run tests a broker's doors against each rule of Intake and Outlet. Outlets that a Door lacks are not tested.
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
