// Package intake accepts Data Units from queues and publishes their verdicts there. It is independent of brokers: each
// kind has its own package, which implements Intake and Outlet.
package intake

import (
	"context"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Message is one body that an Intake delivered.
type Message struct {
	// ID is the sender's id of the message, the same at every delivery. With it a message that is delivered twice makes
	// one job. "" = the sender set none; then the body identifies it.
	ID       string
	Body     []byte
	Type     string // as HTTP's Content-Type; "" = JSON
	Encoding string // as HTTP's Content-Encoding; "" = none
	Reading  string // the interpretation of Body, one of unit.Bodies; "" = as configured
	// Unreadable is the reason why the message is not for an intake, if its Intake detected that; "" = it may be.
	Unreadable string
	Trace      string // the sender's traceparent; "" = none
}

// Outcome says what to do with a delivered message. The zero value acknowledges it.
type Outcome struct {
	// Again is the delay before the message is delivered again; 0 = it is not.
	Again time.Duration
	// Reason is why the message can never be accepted: it becomes a dead letter. "" = it can. It overrides Again.
	Reason fault.Kind
	Detail string // a sentence for Reason
}

// Handler handles one message. It returns once the message is accepted durably, refused for now or refused for ever; it
// never waits for pictures, and never panics. If its ctx has ended, it returns a short Again.
type Handler func(ctx context.Context, m Message) Outcome

// Intake delivers the messages of one queue. Safe for concurrent use, and by several processes that share the queue.
//
//   - Receive delivers messages to at most slots handlers at a time. It blocks until ctx ends, all handlers have
//     returned and their outcomes have reached the broker; then it returns nil. If the broker fails or is down, it
//     returns an error: its caller waits for a moment and calls it again.
//   - A message is acknowledged only after its handler returned a zero Outcome. If the process or the broker dies
//     before that, the message is delivered again, with the same ID and body, to any process.
//   - A message with a Reason is among the dead letters, with its body, before it is acknowledged.
//   - A message with Again is delivered again, no sooner. Until then it may hold its slot: an intake without room
//     receives no more messages than its slots. The number of deliveries is not limited.
//
// Messages arrive in any order, and may arrive twice.
type Intake interface {
	Receive(ctx context.Context, slots int, h Handler) error
}

// The types of Notice.
const (
	UnitDone    = "unit.done"    // the result of one unit: all its verdicts, or a part of them
	UnitRefused = "unit.refused" // a unit of an accepted message could not be parsed
	JobDone     = "job.done"     // the job has ended, in whatever state; its last notice
)

// Notice is one message to the receiver of verdicts.
type Notice struct {
	// ID is the same at every publication, so that receivers can ignore duplicates: letters, digits, "_" and "-".
	ID      string
	Type    string // UnitDone, UnitRefused or JobDone
	Job     string
	Message string // the ID of the message that made the job
	Body    []byte // JSON; the same at every publication, unless the job runs again
	Trace   string // traceparent; "" = none
}

// Outlet publishes notices. Safe for concurrent use.
//
//   - Publish returns nil once the broker has the notice durably; then a receiver gets it at least once, also across
//     restarts of the broker.
//   - Sequential Publish calls are in that order, as far as the broker keeps one.
//   - An error means that it is unknown whether the broker has the notice: publish it again. If the broker is down, the
//     error is returned at once.
type Outlet interface {
	Publish(ctx context.Context, n Notice) error
}
