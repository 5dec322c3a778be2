package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/variant"
)

// vary names the request headers that the answer to a spec depends on.
func vary(s variant.Spec) string {
	switch open, hints := s.IsOpen(), s.VariesByHints(); {
	case open && hints:
		return "Accept, Save-Data, ECT"
	case open:
		return "Accept"
	case hints:
		return "Save-Data, ECT"
	}
	return ""
}

// accept folds a request's headers to what decides the format and the weight class.
func accept(h http.Header, cfg variant.Negotiation) variant.Accept {
	a := variant.ParseAccept(strings.Join(h.Values("Accept"), ","), cfg)
	a.Slow = slow(h)
	return a
}

// slow reports whether the client says that bytes are dear: Save-Data, or an effective connection type of 3g or less.
func slow(h http.Header) bool {
	return says(h["Save-Data"], "on") || says(h["Ect"], "slow-2g", "2g", "3g")
}

// says reports whether the lines of a header name one of the words.
func says(lines []string, words ...string) bool {
	for _, line := range lines {
		for said := range strings.SplitSeq(line, ",") {
			said = strings.TrimSpace(said)
			if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(said, w) }) {
				return true
			}
		}
	}
	return false
}

// sourceHost is the host of a source, for the log alone: never its path or query, and no metric's label.
func sourceHost(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// shortHash is the part of the source's hash that names it in cache tags.
func shortHash(ref variant.Ref) string {
	h := ref.SourceHash()
	return h[:min(len(h), 16)]
}
