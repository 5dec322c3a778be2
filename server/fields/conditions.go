// Package fields reads the header fields of requests: what a client accepts, what it may hold already, and which range
// it wants. What it says follows from the fields alone.
package fields

import (
	"net/http"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// Joined is a header that may come in several lines as the one list that they are (RFC 9110 section 5.3).
func Joined(h http.Header, name string) string { return strings.Join(h[name], ", ") }

// Conditional reports whether the client may already hold the answer.
func Conditional(h http.Header) bool {
	return Joined(h, "If-None-Match") != "" || Joined(h, "If-Modified-Since") != ""
}

// Preconditioned reports whether the client wants an answer only under conditions that come before those.
func Preconditioned(h http.Header) bool {
	return h["If-Match"] != nil || h["If-Unmodified-Since"] != nil
}

// Unchanged judges the conditions by RFC 9110 section 13.1: If-Modified-Since counts only without If-None-Match, and
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

// Conditions gives a request whose conditions and ranges net/http reads as RFC 9110 means them: it reads only the first
// line of each header, and refuses a range unit that it does not know instead of ignoring it.
func Conditions(r *http.Request) *http.Request {
	h := r.Header.Clone()
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if tags := Joined(h, name); tags != "" {
			h.Set(name, tags)
		}
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if len(h[name]) > 1 {
			h.Del(name) // Two dates are none.
		}
	}
	unit, ranges, ok := strings.Cut(Joined(h, "Range"), "=")
	if ok && strings.EqualFold(strings.TrimSpace(unit), "bytes") && len(h["If-Range"]) < 2 {
		h.Set("Range", "bytes="+ranges)
	} else {
		h.Del("Range")
	}
	read := *r
	read.Header = h
	return &read
}
