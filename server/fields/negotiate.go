package fields

import (
	"net/http"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/variant"
)

// Vary names the request headers that the response for a spec depends on.
func Vary(s variant.Spec) string {
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

// Accept reduces a request's headers to what decides the format and the weight class.
func Accept(h http.Header, cfg variant.Negotiation) variant.Accept {
	a := variant.ParseAccept(strings.Join(h.Values("Accept"), ","), cfg)
	a.Slow = Slow(h)
	return a
}

// Slow reports whether the client asks for fewer bytes: Save-Data, or an effective connection type of 3g or less.
func Slow(h http.Header) bool {
	return says(h["Save-Data"], "on") || says(h["Ect"], "slow-2g", "2g", "3g")
}

// says reports whether the lines of a header contain one of the words.
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
