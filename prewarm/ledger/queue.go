package ledger

import (
	"context"
	"time"
)

// The lanes of the queue, drained in this order: a ticket waits only for tickets of its own and of earlier lanes.
// Events and the predecessor's call have workers of their own.
const (
	LaneHigh   = "high"
	LaneNormal = "normal"
	LaneLow    = "low"
	LaneTell   = "tell"
	LaneCompat = "compat" // the predecessor's call
)

// Ticket says that there is work: on the record of that name. It holds no work itself, so a ticket may be
// delivered twice, late, or without need, and no harm is done.
type Ticket struct {
	Lane string
	ID   string // of the characters that a record's key may have
}

// Handler works on a ticket's record. It returns 0 when the ticket is done with, or how long the queue shall wait
// before it delivers the ticket again; a short one where its ctx ended.
type Handler func(ctx context.Context, t Ticket) (again time.Duration)

// Queue delivers tickets. Safe for concurrent use and by several processes that share it.
//
//   - Put returns when every ticket is on disk (synced). A ticket that is in the queue already stays there once:
//     putting it again changes nothing and is no error.
//   - Consume delivers tickets of the lanes, those of the first lane first, to at most slots handlers at a time. It
//     blocks until ctx ends and all handlers have returned. A ticket is gone only when its handler returned 0 and that
//     is on disk; if the process dies before, the ticket is delivered again, to any process. A handler that takes long
//     keeps its ticket; one that panics gets it again later. No number of deliveries is the last.
//   - Waiting counts the tickets of a lane, those being worked on included.
//   - Room refuses with disk_full when there is no room for new work beside that of the verdicts of old work.
//
// Errors are faults: disk_full where there is no room, overloaded where the queue does not answer.
type Queue interface {
	Put(ctx context.Context, tickets ...Ticket) error
	Consume(ctx context.Context, lanes []string, slots int, h Handler) error
	Waiting(ctx context.Context, lane string) (int, error)
	Room(ctx context.Context) error
}

// DefaultBacklog is how many images may wait where nothing else is said.
const DefaultBacklog = 1_000_000
