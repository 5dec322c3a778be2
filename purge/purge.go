// Package purge brings purges to all instances that share a store, in one order, and answers when every one has applied
// them.
package purge

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// Log is an ordered log that instances share. Safe for concurrent use.
//
//   - Append writes a record and returns when it is on disk. After an error it may be there all the same.
//   - Follow gives each record behind after, in order, and then every new one; of several with one name at least the
//     last. It starts at the first record kept where the log is not the one that after is of. begun is called first and
//     says where the log stands; each is called from one goroutine. Follow blocks until ctx ends (nil) or until it
//     cannot vouch for that any more.
//
// Records are kept for longer than an hour less than a day, and so long that a name's last one is found by whoever
// starts.
type Log interface {
	Append(ctx context.Context, name string, body []byte) error
	Follow(ctx context.Context, after Place, begun func(last Place), each func(Record)) error
}

// Place is one in a log. A log that was made anew has a later Epoch.
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
	// BeginPurge applies a purge and holds the writes of what is made after it. idle waits for those from before.
	BeginPurge(g cache.Generation, prefixes, sources []string, limit time.Duration) (idle func(context.Context) error)
	EndPurge(g cache.Generation)
	// Remove deletes by prefix in the store.
	Remove(ctx context.Context, prefixes []string) (int, error)
	// ForgetAll drops all of memory: purges may have been missed.
	ForgetAll()
}

// Config holds how long instances wait for each other.
type Config struct {
	Lease    time.Duration // an instance that shows no life for so long is left out, and trusts its own memory no more
	Patience time.Duration // what a purge waits for the others
	Hold     time.Duration // what instances hold writes for where a purge does not end
	OwnStore bool          // the store is this instance's alone: it deletes there itself
}

// Default is what instances on one network need.
func Default() Config {
	return Config{Lease: 10 * time.Second, Patience: 5 * time.Second, Hold: time.Minute}
}

// renew is how often an instance shows life.
func (c Config) renew() time.Duration { return c.Lease / 3 }

// fence is when the deleting of a purge ends at the latest, so that no delete reaches the store after writes go on.
func (c Config) fence() time.Duration { return c.Hold * 2 / 3 }

// ErrAway says that another instance did not confirm a purge and may still be serving. The purge can be repeated.
var ErrAway = errors.New("purge: an instance did not confirm it")

// ErrLog says that the log did not take the purge. It can be repeated.
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

// The bounds of one order: more go one after the other.
const (
	maxPrefixes = 200
	maxBytes    = 256 << 10
)

// split cuts an order into such that a record holds.
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
