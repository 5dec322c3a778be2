// Package ledger stores jobs: their records and tickets, their states, and the views through which an instance follows
// them. The record is the truth, and is written by compare-and-set on its revision.
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
	// Revision rises with every write of any record. As a condition of Write it is the revision that the record must
	// have; 0 = no record may exist yet.
	Revision uint64
	// Mark is a short text that lists return without the body: at most 4 KiB of printable ASCII.
	Mark string
	Body []byte    // at most MaxBody; nil with an empty Mark deletes the record, if it still has its Revision
	At   time.Time // when it was written
}

// MaxBody bounds a record's body in bytes.
const MaxBody = 768 << 10

// ErrNoRecord says that a key has no record; ErrConflict that the record was changed since it was read. Test with
// errors.Is.
var (
	ErrNoRecord = errors.New("ledger: no such record")
	ErrConflict = errors.New("ledger: the record was changed meanwhile")
)

// Scan selects the records that List returns.
type Scan struct {
	Prefix string    // the first words of the keys, without the last dot
	Since  time.Time // written at or after; zero = all
	Bodies bool      // false: only Key, Revision, Mark and At
}

// Store keeps records for the configured time. It is safe for concurrent use, also by several processes that share it.
//
//   - Write returns when all records are on disk (synced) and sets their Revisions. Records are written in order, each
//     if its own condition holds. If any fails, its error is returned, ErrConflict last. A record that exists with the
//     same Mark and Body counts as written, whatever its Revision, because the response to an earlier Write may have
//     been lost: to find out which of several writers was first, give their records different Marks or Bodies.
//   - A deletion is done before the writes of the same call. If the record has another Revision, or is gone, it
//     changes nothing and is no error.
//   - Read returns the last record that one server of the ledger knows. For a moment it may be older than the last one
//     written, and than what Follow has reported. The conditions of Write are checked against the last one.
//   - List yields the existing records once each, oldest write first, until yield returns false. A record that is
//     written during the list may be yielded in its old version, in the new one, or both in turn.
//   - Follow reports every record written from now on, without bodies. Of several writes of one record it reports at
//     least the last. It does not report deletions. It calls started when the subscription is active: all later
//     writes are reported. It blocks until ctx ends (nil) or until it cannot guarantee that any more.
//
// Errors are faults as those of Queue, or the two above.
type Store interface {
	Write(ctx context.Context, records ...*Record) error
	Read(ctx context.Context, key string) (Record, error)
	List(ctx context.Context, s Scan, yield func(Record) bool) error
	Follow(ctx context.Context, prefixes []string, started func(), each func(Record)) error
}
