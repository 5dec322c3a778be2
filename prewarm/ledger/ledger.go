// Package ledger keeps what is true of jobs: their records and tickets, the states that they pass through, and the views
// by which an instance follows them. What a record says counts, and it is written only over the revision that was read.
package ledger

import (
	"context"
	"errors"
	"time"
)

// Record is one entry of the Store.
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
	ErrNoRecord = errors.New("ledger: no such record")
	ErrConflict = errors.New("ledger: the record was changed meanwhile")
)

// Scan says which records List gives.
type Scan struct {
	Prefix string    // the first words of the keys, without the last dot
	Since  time.Time // written at or after; zero = all
	Bodies bool      // false: only Key, Revision, Mark and At
}

// Store keeps records for as long as the configuration says. Safe for concurrent use and by several processes that
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
type Store interface {
	Write(ctx context.Context, records ...*Record) error
	Read(ctx context.Context, key string) (Record, error)
	List(ctx context.Context, s Scan, yield func(Record) bool) error
	Follow(ctx context.Context, prefixes []string, started func(), each func(Record)) error
}
