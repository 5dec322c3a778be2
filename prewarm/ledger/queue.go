package ledger

import (
	"context"
	"time"
)

// The lanes of the queue, drained in this order: a ticket waits only for tickets of its own and of earlier lanes.
// LaneTell and LaneCompat have workers of their own.
const (
	LaneHigh   = "high"
	LaneNormal = "normal"
	LaneLow    = "low"
	LaneTell   = "tell"
	LaneCompat = "compat" // the predecessor's call
)

// Ticket says that the record of that name has work to do. It contains no work itself, so it is harmless if a ticket is
// delivered twice, late, or unnecessarily.
type Ticket struct {
	Lane string
	ID   string // only characters that a record's key may have
}

// Handler works on a ticket's record. It returns 0 when the ticket is done, or the time after which the queue delivers
// it again; a short time if its ctx has ended.
type Handler func(ctx context.Context, t Ticket) (again time.Duration)

// Queue delivers tickets. It is safe for concurrent use, also by several processes that share it.
//
//   - Put returns when every ticket is on disk (synced). Putting a ticket that is already queued changes nothing and
//     is no error.
//   - Consume delivers tickets of the lanes, the first lane first, to at most slots concurrent handlers. It blocks
//     until ctx ends and all handlers have returned. A ticket is deleted only when its handler has returned 0 and that
//     is on disk. If the process dies before, the ticket is delivered again, to any process. A slow handler keeps its
//     ticket; one that panics gets it again later. The number of deliveries is not limited.
//   - Waiting counts the tickets of a lane, including those in progress.
//   - Room returns disk_full if there is no room for new work besides the verdicts of old work.
//
// Errors are faults: disk_full if there is no room, overloaded if the queue does not respond.
type Queue interface {
	Put(ctx context.Context, tickets ...Ticket) error
	Consume(ctx context.Context, lanes []string, slots int, h Handler) error
	Waiting(ctx context.Context, lane string) (int, error)
	Room(ctx context.Context) error
}

// DefaultBacklog is the default limit of waiting images.
const DefaultBacklog = 1_000_000
