package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// joined is a header that may come in several lines as the one list that they are (RFC 9110 section 5.3).
func joined(h http.Header, name string) string { return strings.Join(h[name], ", ") }

// conditional reports whether the client may already hold the answer.
func conditional(h http.Header) bool {
	return joined(h, "If-None-Match") != "" || joined(h, "If-Modified-Since") != ""
}

// preconditioned reports whether the client wants an answer only under conditions that come before those.
func preconditioned(h http.Header) bool {
	return h["If-Match"] != nil || h["If-Unmodified-Since"] != nil
}

// unchanged judges the conditions by RFC 9110 section 13.1: If-Modified-Since counts only without If-None-Match, and
// only if it is one date.
func unchanged(h http.Header, m cache.Meta) bool {
	if tags := joined(h, "If-None-Match"); tags != "" {
		for tag := range strings.SplitSeq(tags, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == "*" || tag == m.ETag && tag != "" {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(joined(h, "If-Modified-Since"))
	return err == nil && !m.Created.Truncate(time.Second).After(since)
}

// conditions gives a request whose conditions and ranges net/http reads as RFC 9110 means them: it reads only the first
// line of each header, and refuses a range unit that it does not know instead of ignoring it.
func conditions(r *http.Request) *http.Request {
	h := r.Header.Clone()
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if tags := joined(h, name); tags != "" {
			h.Set(name, tags)
		}
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if len(h[name]) > 1 {
			h.Del(name) // Two dates are none.
		}
	}
	unit, ranges, ok := strings.Cut(joined(h, "Range"), "=")
	if ok && strings.EqualFold(strings.TrimSpace(unit), "bytes") && len(h["If-Range"]) < 2 {
		h.Set("Range", "bytes="+ranges)
	} else {
		h.Del("Range")
	}
	read := *r
	read.Header = h
	return &read
}
