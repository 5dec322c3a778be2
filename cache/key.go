package cache

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxBody is the largest Body a Store accepts, in bytes: twice the limit of a variant. Readers refuse larger objects,
// so a foreign object in a bucket cannot exhaust the memory.
const MaxBody = 16 << 20

const (
	maxKey     = 512
	maxSegment = 200
	maxAttrs   = 1024
	maxField   = 100
)

// ErrBadKey says that a key or prefix is not valid for Store. It is a bug of the caller, never a miss.
var ErrBadKey = errors.New("cache: not a valid key")

// CheckKey returns ErrBadKey for a key that is not valid for Store.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey || !printable(key) {
		return fmt.Errorf("%w: %q", ErrBadKey, shorten(key))
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." || len(segment) > maxSegment {
			return fmt.Errorf("%w: %q", ErrBadKey, shorten(key))
		}
	}
	return nil
}

// CheckPrefix returns ErrBadKey for a prefix with which no valid key can begin. The empty prefix means every key.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckKey(strings.TrimSuffix(prefix, "/"))
}

// Check validates the arguments of a Store's Put and returns the entry as it will be read back: Size set from Body,
// Created in UTC and whole seconds.
func Check(key string, e Entry) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, err
	}
	if len(e.Body) > MaxBody {
		return Entry{}, fmt.Errorf("cache: a body of %d bytes is over %d", len(e.Body), MaxBody)
	}
	if !field(e.ContentType) || !field(e.ETag) {
		return Entry{}, fmt.Errorf("cache: content type and ETag must be printable ASCII of at most %d bytes", maxField)
	}
	total := 0
	for k, v := range e.Attrs {
		total += len(k) + len(v) + attrOverhead
		if !attrKey(k) || !printable(v) {
			return Entry{}, fmt.Errorf("cache: attribute %q is not a lower-case name with a printable value", shorten(k))
		}
	}
	if total > maxAttrs {
		return Entry{}, fmt.Errorf("cache: attributes of %d bytes are over %d", total, maxAttrs)
	}
	e.Size = int64(len(e.Body))
	e.Created = e.Created.UTC().Truncate(time.Second)
	return e, nil
}

func field(s string) bool { return len(s) <= maxField && printable(s) }

func attrKey(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
