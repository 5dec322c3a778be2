// Package fields parses the header fields of requests: what a client accepts, what it may have already, and which range
// it wants. It is pure.
package fields

import (
	"net/http"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// Joined joins the lines of a header into one list (RFC 9110 section 5.3).
func Joined(h http.Header, name string) string { return strings.Join(h[name], ", ") }

// Conditional reports whether the client may already have the response.
func Conditional(h http.Header) bool {
	return Joined(h, "If-None-Match") != "" || Joined(h, "If-Modified-Since") != ""
}

// Preconditioned reports whether the request has conditions that are checked before those.
func Preconditioned(h http.Header) bool {
	return h["If-Match"] != nil || h["If-Unmodified-Since"] != nil
}

// Unchanged evaluates the conditions by RFC 9110 section 13.1: If-Modified-Since counts only without If-None-Match, and
// only if it is one date.
func Unchanged(h http.Header, m cache.Meta) bool {
	if tags := Joined(h, "If-None-Match"); tags != "" {
		for tag := range strings.SplitSeq(tags, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == "*" || tag == m.ETag && tag != "" {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(Joined(h, "If-Modified-Since"))
	return err == nil && !m.Created.Truncate(time.Second).After(since)
}

// Conditions rewrites a request so that net/http evaluates conditions and ranges as RFC 9110 requires: net/http reads
// only the first line of each header, and refuses an unknown range unit instead of ignoring it. Ranges that no client
// of pictures needs get the whole picture: see usable.
func Conditions(r *http.Request) *http.Request {
	h := r.Header.Clone()
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if tags := Joined(h, name); tags != "" {
			h.Set(name, tags)
		}
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if len(h[name]) > 1 {
			h.Del(name) // two dates are invalid
		}
	}
	unit, ranges, ok := strings.Cut(Joined(h, "Range"), "=")
	if ok && strings.EqualFold(strings.TrimSpace(unit), "bytes") && usable(ranges, h["If-Range"]) {
		h.Set("Range", "bytes="+ranges)
	} else {
		h.Del("Range")
	}
	read := *r
	read.Header = h
	return &read
}

// usable reports whether ranges of bytes are one range, under one entity tag at most. Each of several ranges would cost
// a hundred bytes of headers, which multiplies a small picture. A date does not tell a first answer from the final one of
// the same second. Of "the last 0 bytes" net/http would send none, under an invalid Content-Range.
func usable(ranges string, conditions []string) bool {
	if len(conditions) > 1 || len(conditions) == 1 && !strings.HasPrefix(strings.TrimSpace(conditions[0]), `"`) {
		return false
	}
	last, suffix := strings.CutPrefix(strings.TrimSpace(ranges), "-")
	return !strings.Contains(ranges, ",") && !(suffix && strings.Trim(last, "+0 \t") == "") // as net/http reads it
}
