// Package purge distributes purges to all instances that share a store, in one order, and returns when every one has
// applied them.
package purge

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// Log is an ordered log that instances share. Safe for concurrent use.
//
//   - Append writes a record and returns when it is on disk. After an error the record may be there nevertheless.
//   - Follow delivers each record after the given place, in order, and then every new one; of several records with one
//     name at least the last. It starts at the first record kept if the place is in another log. begun is called first
//     with the current place of the log; each is called from one goroutine. Follow returns nil when ctx ends, and an
//     error when records may have been missed.
//
// Records are kept for at least an hour less than a day, and a name's last record for long enough that a new instance
// finds it.
type Log interface {
	Append(ctx context.Context, name string, body []byte) error
	Follow(ctx context.Context, after Place, begun func(last Place), each func(Record)) error
}

// Place is a position in a log. A log that was made again has a later Epoch.
type Place struct {
	Epoch int64 // when the log was made, in Unix milliseconds
	Seq   uint64
}

// Record is an entry of a Log. Its name is 2 or 3 words joined by dots.
type Record struct {
	Place
	Name string
	Body []byte
}

// Instance is what a purge does to one instance. Implemented by pipeline.Pipeline.
type Instance interface {
	// BeginPurge applies a purge and holds newer writes. idle waits for the writes that began earlier.
	BeginPurge(g cache.Generation, prefixes, sources []string, limit time.Duration) (idle func(context.Context) error)
	EndPurge(g cache.Generation)
	// Remove deletes from the store by prefix.
	Remove(ctx context.Context, prefixes []string) (int, error)
	// ForgetAll drops all of memory, because purges may have been missed.
	ForgetAll()
}

// Config has the times for which instances wait for each other.
type Config struct {
	Lease    time.Duration // without heartbeats for so long, an instance is ignored and does not trust its own memory
	Patience time.Duration // how long a purge waits for the others
	Hold     time.Duration // how long instances hold writes if a purge does not end
	OwnStore bool          // only this instance uses the store: it deletes there itself
}

// Default fits instances on one network.
func Default() Config {
	return Config{Lease: 10 * time.Second, Patience: 5 * time.Second, Hold: time.Minute}
}

// renew is the interval of heartbeats.
func (c Config) renew() time.Duration { return c.Lease / 3 }

// fence is when the deletion of a purge ends at the latest, before held writes continue.
func (c Config) fence() time.Duration { return c.Hold * 2 / 3 }

// ErrAway says that another instance did not confirm a purge and may still serve old entries. The purge can be
// repeated.
var ErrAway = errors.New("purge: an instance did not confirm it")

// ErrLog says that the log did not accept the purge. It can be repeated.
var ErrLog = errors.New("purge: the log does not answer")

// The first words of names.
const (
	beganWord = "purge" // purge.<id>: a purge begins
	heardWord = "ack"   // ack.<id>.<instance>: that instance has applied it
	endedWord = "done"  // done.<id>: it has ended
	hereWord  = "here"  // here.<instance>: it is alive; empty = it has left
)

// order is the body of a purge.
type order struct {
	From     string   `json:"from"`
	Prefixes []string `json:"prefixes"`
	Sources  []string `json:"sources,omitempty"`
}

// The limits of one order; larger purges are split.
const (
	maxPrefixes = 200
	maxBytes    = 256 << 10
)

// split divides an order into parts that fit into a record.
func split(prefixes, sources []string) (out []order) {
	var o order
	bytes := 0
	for i, prefix := range prefixes {
		source := ""
		if i < len(sources) {
			source = sources[i]
		}
		n := len(prefix) + len(source)
		if len(o.Prefixes) > 0 && (len(o.Prefixes) == maxPrefixes || bytes+n > maxBytes) {
			out, o, bytes = append(out, o), order{}, 0
		}
		bytes += n
		o.Prefixes = append(o.Prefixes, prefix)
		if source != "" {
			o.Sources = append(o.Sources, source)
		}
	}
	return append(out, o)
}
