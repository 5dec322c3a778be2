// Package intake is the contract of the ways in for Data Units beside HTTP: a team's own queue brings messages, and
// verdicts go back there. It reads messages, hands them to the prewarm door's accept path, and publishes what became of
// them. It knows no broker: each has a package of its own.
package intake

import (
	"context"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Message is one body that an Intake delivered.
type Message struct {
	// ID is the sender's name for the message, the same at every delivery of it. With it a message that is delivered
	// twice gives one job. "" = the sender gave none; then the body stands for it.
	ID       string
	Body     []byte
	Type     string // as Content-Type of HTTP; "" = JSON
	Encoding string // as Content-Encoding of HTTP; "" = none
	Reading  string // how Body is to be read, one of unit.Bodies; "" = as the intake's configuration says
	// Unreadable says why the message is not one for an intake, where its Intake found that out; "" = it may be.
	Unreadable string
	Trace      string // the sender's traceparent; "" = none
}

// Outcome says what becomes of a delivered message. The zero value acknowledges it.
type Outcome struct {
	// Again is how long the message shall wait before it is delivered again; 0 = it is not.
	Again time.Duration
	// Reason is why the message can never be accepted; it goes to the dead letters. "" = it can. It outweighs Again.
	Reason fault.Kind
	Detail string // a sentence for Reason
}

// Accepted reports whether the message is acknowledged.
func (o Outcome) Accepted() bool { return o == Outcome{} }

// Handler takes one message. It returns once the message is accepted durably, refused for now or refused for ever; it
// never waits for pictures. A short Again where its ctx ended.
type Handler func(ctx context.Context, m Message) Outcome

// Intake delivers the messages of one queue. Safe for concurrent use, and by several processes that share the queue.
//
//   - Receive delivers messages to at most slots handlers at a time. It blocks until ctx ends and all handlers have
//     returned, and what they said has reached the broker; then it returns nil. Where the broker fails or is not
//     there it returns an error: its caller waits for a moment and calls it again.
//   - A message is acknowledged only after its handler returned a zero Outcome. If the process or the broker dies
//     before that, the message is delivered again, with the same ID and body, to any process.
//   - A message with a Reason is among the dead letters, with its body, before it is acknowledged.
//   - A message with Again is delivered again, no sooner. Until then it may hold its slot: an intake that finds no room
//     takes no more than its slots. No number of deliveries is the last.
//   - A handler that panics gets its message again.
//
// Messages come in any order, and may come twice.
type Intake interface {
	Receive(ctx context.Context, slots int, h Handler) error
}

// The types of Notice.
const (
	UnitDone    = "unit.done"    // what became of one unit: all its verdicts, or a part of them
	UnitRefused = "unit.refused" // a unit of an accepted message could not be read
	JobDone     = "job.done"     // the job has come to its end, whatever that is; its last notice
)

// Notice is one message to the receiver of verdicts.
type Notice struct {
	// ID is the same at every publication, so that receivers can drop a second one: letters, digits, "_" and "-".
	ID      string
	Type    string // UnitDone, UnitRefused or JobDone
	Job     string
	Message string // the ID of the message that the job came of
	Body    []byte // JSON; the same at every publication, as long as the job does not run again
	Trace   string // traceparent; "" = none
}

// Outlet publishes notices. Safe for concurrent use.
//
//   - Publish returns nil once the broker has the notice durably; then a receiver gets it at least once, over restarts
//     of the broker.
//   - Notices whose Publish calls follow one another are in that order, as far as the broker keeps one.
//   - An error means that it is not known whether the broker has the notice: it is to be published again. Where the
//     broker is not there, the error comes at once.
type Outlet interface {
	Publish(ctx context.Context, n Notice) error
}
