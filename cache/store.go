// Package cache keeps entries by key: Store, Memory, Tiered. It does not look into images.
package cache

import (
	"context"
	"errors"
	"time"
)

// ErrMiss says that a key is absent. Test with errors.Is.
var ErrMiss = errors.New("cache: no such entry")

// Entry is the bytes of a variant with their Meta. Body is immutable: neither the store nor a reader may change it
// after it was passed on, so it is shared without copying.
type Entry struct {
	Meta
	Body []byte
}

// Meta describes an Entry. Every Store keeps all of it and returns it unchanged.
type Meta struct {
	ContentType string
	ETag        string    // strong, quoted, computed from Body by its writer; equal on all instances
	Size        int64     // length of Body in bytes; set by the Store
	Created     time.Time // UTC, whole seconds
	Recipe      int       // version of the coefficients and encoder settings that made it
	// Attrs has the facts that the pipeline needs for a hit: width, height, quality, stage and others. Keys are lower
	// case ASCII, values printable ASCII; together at most 1 KiB. Shared and immutable like Body.
	Attrs map[string]string
}

// LastingPrefix is the prefix of keys whose entries, unlike variants, cannot be made again. They are small. A Store
// that makes room removes them much later than others.
const LastingPrefix = "links/"

// Store keeps entries by key. Safe for concurrent use; honours ctx. An absent key is ErrMiss (errors.Is); any other
// error means "unknown", never "absent". Put replaces whole entries: a reader sees the old or the new one, never a mix.
// An entry with a wrong checksum is ErrMiss (and counted), so that it is made again and the next Put repairs it.
//
// Keys are relative slash-separated paths of printable ASCII without empty, "." or ".." segments, at most 512 bytes,
// each segment at most 200, so that they can be file names. For the same reason no key may be the parent path of
// another. Check and CheckKey validate keys; a Store refuses invalid ones with ErrBadKey.
type Store interface {
	Get(ctx context.Context, key string) (Entry, error)
	Stat(ctx context.Context, key string) (Meta, error)
	Put(ctx context.Context, key string, e Entry) error
	// Delete removes every entry whose key begins with prefix and returns their number.
	Delete(ctx context.Context, prefix string) (int, error)
}

// Observer is notified of a store's operations; app connects it to metrics. All methods are safe for concurrent use.
type Observer interface {
	// Observe is called once per operation. tier is "memory", "dir" or "s3", or "store" for decisions of Tiered about
	// the store behind it. op is get, stat, put, delete, sweep or checksum. outcome is hit, miss, ok or error; "hung"
	// (dir: the disk did not respond in time); "forbidden" (s3: a 403 read as a miss); and for the tier "store" "open"
	// (the breaker refused the call) or "dropped" (too many bytes pending). bytes is the number of bytes moved, or 0.
	Observe(tier, op, outcome string, elapsed time.Duration, bytes int64)
}

// NoObserver ignores everything; a nil Observer is replaced by it.
type NoObserver struct{}

// Observe does nothing.
func (NoObserver) Observe(string, string, string, time.Duration, int64) {}
