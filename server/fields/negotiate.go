package fields

import (
	"net/http"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/hints"
)

// Vary names the request headers that the response for a spec depends on.
func Vary(s variant.Spec) string {
	var names []string
	for _, v := range []struct {
		varies bool
		by     []string
	}{
		{s.IsOpen(), []string{"Accept"}}, {s.VariesByHints(), []string{"Save-Data", "ECT"}},
		{s.HintWidth || s.HintDPR, dprHints}, {s.HintWidth, widthHints},
	} {
		if v.varies {
			names = append(names, v.by...)
		}
	}
	return strings.Join(names, ", ")
}

// The headers of client hints, the first of which counts. Browsers send either the new names or the old ones.
var (
	dprHints   = []string{"Sec-CH-DPR", "DPR"}
	widthHints = []string{"Sec-CH-Width", "Width"}
)

// Hints sets the size that client hints say.
func Hints(h http.Header, a *variant.Accept) {
	a.DPR, a.Width = hints.Ratio(first(h, dprHints)), hints.Width(first(h, widthHints))
}

// first is the value of the first of several headers that is there; "" if it has several values.
func first(h http.Header, names []string) string {
	for _, name := range names {
		if lines := h.Values(name); len(lines) > 0 {
			return Joined(h, http.CanonicalHeaderKey(name))
		}
	}
	return ""
}

// Accept reduces a request's headers to what decides the format and the weight class.
func Accept(h http.Header, cfg variant.Negotiation) variant.Accept {
	a := variant.ParseAccept(strings.Join(h.Values("Accept"), ","), cfg)
	a.Slow = Slow(h)
	Hints(h, &a)
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
