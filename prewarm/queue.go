package prewarm

import (
	"context"
	"errors"
	"time"
)

// The lanes of the queue, drained in this order: a ticket waits only for tickets of its own and of earlier lanes.
// Tellings have a lane and workers of their own.
const (
	LaneHigh   = "high"
	LaneNormal = "normal"
	LaneLow    = "low"
	LaneTell   = "tell"
)

// Ticket says that there is work: on the Ledger's record of that name. It holds no work itself, so a ticket may be
// delivered twice, late, or without need, and no harm is done.
type Ticket struct {
	Lane string
	ID   string // of the characters that a Ledger key may have
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

// Record is one entry of the Ledger.
type Record struct {
	// Key is 2 to 5 words joined by dots, each of letters, digits, "-" and "_".
	Key string
	// Revision is that of the record read or written; it rises with every write of any record. As a condition of Write
	// it is the revision that the record must have: 0 = there must be none yet.
	Revision uint64
	// Mark is a short text that listings read without the body: at most 4 KiB of printable ASCII.
	Mark string
	Body []byte    // at most MaxBody; nil with an empty Mark deletes the record, if it still has its Revision
	At   time.Time // when it was written
}

// MaxBody is the most bytes that a record's body may have.
const MaxBody = 768 << 10

// ErrNoRecord says that a key has no record; ErrConflict that a record was written by somebody else meanwhile. Test
// with errors.Is.
var (
	ErrNoRecord = errors.New("prewarm: no such record")
	ErrConflict = errors.New("prewarm: the record was changed meanwhile")
)

// Scan says which records List gives.
type Scan struct {
	Prefix string    // the first words of the keys, without the last dot
	Since  time.Time // written at or after; zero = all
	Bodies bool      // false: only Key, Revision, Mark and At
}

// Ledger keeps records for as long as the configuration says. Safe for concurrent use and by several processes that
// share it.
//
//   - Write returns when all records are on disk (synced) and sets their Revisions. Each is written if its condition
//     holds, in the order given and without regard to the others; the error of any is returned, ErrConflict last.
//   - Read gives the last record written, by whichever process.
//   - List gives the records there are, oldest write first, each once, until yield returns false. One that is written
//     during the listing may be given as it was, as it is, or both in turn.
//   - Follow gives every record written from now on, without bodies; of one that is written several times at least the
//     last. Deletions are not told. started is called once it stands: what is written after that call is given. It
//     blocks until ctx ends (nil) or until it cannot vouch for that any more.
//
// Errors are faults as those of Queue, or the two above.
type Ledger interface {
	Write(ctx context.Context, records ...*Record) error
	Read(ctx context.Context, key string) (Record, error)
	List(ctx context.Context, s Scan, yield func(Record) bool) error
	Follow(ctx context.Context, prefixes []string, started func(), each func(Record)) error
}
