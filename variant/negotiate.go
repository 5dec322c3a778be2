package variant

import (
	"math/bits"
	"slices"

	"github.com/goldcrest/goldcrest/variant/accept"
	"github.com/goldcrest/goldcrest/variant/hints"
)

// Accept is what a client accepts, reduced to few values, so that one URL has few variants. Clients with equal values
// get the same bytes.
type Accept struct {
	Best    Format    // the format to try first; "" = jpeg
	Formats FormatSet // the formats that may be sent; 0 = png, jpeg and gif
	Slow    bool      // sent by the client (Save-Data, ECT): used by net:auto only; set by the caller
	Width   int       // by a client hint, in pixels of the screen; 0 = none, set by the caller
	DPR     float64   // the same
}

// ParseAccept parses an Accept header (several joined by commas) with a valid configuration. avif, jxl and webp
// count only if they are named; of the named formats the highest weight wins, then the configured order. A weight of 0
// refuses a format. Malformed elements are ignored.
func ParseAccept(header string, cfg Negotiation) Accept {
	w := accept.Images(header, imageIndex)
	best := best(w, cfg.Formats)
	unknown, _ := ParseFormat(cfg.Unknown)
	var set FormatSet
	switch {
	case best == AVIF || best == JXL:
		set = modern(w, best, cfg.Formats)
	case best == WebP:
		set = AcceptWebP | AcceptPNG | AcceptJPEG | AcceptGIF
	case w.Named[JPEG.index()] > 0 && w.Of(PNG.index()) <= 0:
		set = AcceptJPEG
	case best == Open && unknown == WebP && (w.NamesNone() || w.Of(WebP.index()) > 0):
		best, set = WebP, AcceptWebP|AcceptPNG|AcceptJPEG|AcceptGIF
	default:
		set = AcceptPNG | AcceptJPEG | AcceptGIF
	}
	return fold(best, set, w)
}

// modern is the set of a client of AVIF or JPEG XL. Each shows WebP; one of JPEG XL shows AVIF if it says so.
func modern(w accept.Weights, best Format, configured []string) FormatSet {
	set := best.bit() | AcceptPNG | AcceptJPEG | AcceptGIF
	if lists(configured, WebP) {
		set |= AcceptWebP
	}
	if w.Named[AVIF.index()] > 0 && lists(configured, AVIF) {
		set |= AcceptAVIF
	}
	return set
}

// fold removes the refused formats, and chooses the best of the others.
func fold(best Format, set FormatSet, w accept.Weights) Accept {
	order := [...]Format{best, WebP, JPEG, PNG, GIF}
	if best == Open {
		order[0] = JPEG
	}
	for _, f := range written {
		if w.Of(f.index()) == 0 {
			set &^= f.bit()
		}
	}
	for _, f := range order {
		if set.Has(f) {
			return Accept{Best: f, Formats: set}
		}
	}
	return Accept{Best: JPEG, Formats: AcceptJPEG} // everything is refused, but something must be sent
}

// best is the format with the highest weight among those that are named and configured, jpeg included; Open if there is
// none.
func best(w accept.Weights, configured []string) Format {
	best, weight := Open, 0
	consider := func(f Format) {
		if q := w.Named[f.index()]; q > weight {
			best, weight = f, q
		}
	}
	for _, name := range configured {
		if f, ok := ParseFormat(name); ok {
			consider(f)
		}
	}
	consider(JPEG)
	return best
}

func lists(formats []string, want Format) bool {
	return slices.ContainsFunc(formats, func(name string) bool { f, _ := ParseFormat(name); return f == want })
}

// index is the place of f, which is not Open, among the written formats.
func (f Format) index() int { return bits.TrailingZeros8(uint8(f.bit())) }

// imageIndex is index of the name of an image type.
func imageIndex(name string) (int, bool) {
	f, ok := ParseFormat(name)
	return f.index(), ok
}

// IsOpen reports whether the URL leaves the format to negotiation: its responses vary by Accept.
func (s Spec) IsOpen() bool { return s.Format == Open || s.Accepts != 0 }

// VariesByHints reports whether client hints count (net:auto): the responses vary by Save-Data and ECT. Call it before
// Resolve.
func (s Spec) VariesByHints() bool { return s.Net == NetAuto }

// Resolve decides what a URL leaves open, before the Key: the format, the formats it may become, and the weight class
// with its limit on dpr, which the transform removes for print. Values that cannot change the bytes are normalised.
// Resolving twice changes nothing.
func (s Spec) Resolve(a Accept) Spec {
	if s.Format == Open {
		s.Format, s.Accepts = a.Best, a.Formats
		if a.Best == Open || a.Formats == 0 {
			s.Format, s.Accepts = JPEG, AcceptPNG|AcceptJPEG|AcceptGIF
		}
	}
	s.describe()
	s.measure(a)
	if s.Net == NetAuto && a.Slow {
		s.Net = Net2G
	}
	if s.Accepts == 0 && s.Quality == 0 {
		s.Quality = *s.FormatQuality.of(s.Format)
	}
	s.classify()
	if s.Accepts == 0 || s.Quality != 0 {
		s.FormatQuality = Qualities{}
	}
	if s.Quality != 0 {
		s.Class = ClassNormal // an explicit quality overrides the weight class
	}
	return s.normal()
}

// classify sets the weight class for the client's network.
func (s *Spec) classify() {
	switch s.Net {
	case Net2G:
		s.Class = ClassSaver
		s.boundDPR(1)
	case Net3G:
		s.boundDPR(1.5)
	case NetWifi:
		s.Class = ClassHigh
	}
	s.Net = NetDefault
}

// measure sets the size that client hints say.
func (s *Spec) measure(a Accept) {
	if s.HintWidth && a.Width > 0 {
		s.Width = hints.CSS(a.Width, a.DPR)
	}
	if s.HintDPR && a.DPR > 0 {
		s.DPR = a.DPR
	}
	s.HintWidth, s.HintDPR, s.OwnDPR = false, false, false
}

// describe leaves only formats that can hold what is kept. What is sent unprocessed is in a format that may be sent.
func (s *Spec) describe() {
	if s.Accepts == 0 {
		s.Unprocessed &= s.Format.bit()
		return
	}
	s.Unprocessed &= s.Accepts
	if !s.keeps() {
		return
	}
	if s.Accepts &= described; s.Accepts == 0 {
		s.Accepts = AcceptJPEG
	}
	if !s.Accepts.Has(s.Format) {
		s.Format = JPEG
		if s.Accepts.Has(WebP) {
			s.Format = WebP
		}
	}
}

// boundDPR limits dpr by a weight class. A document keeps its pixels; if legible is not given, the picture is
// classified when it is made, but not if its quality is given.
func (s *Spec) boundDPR(most float64) {
	switch {
	case orOne(s.DPR) <= most || s.Legible == LegibleYes:
	case s.Legible == LegibleNo || s.Quality != 0:
		s.DPR = most
	default:
		s.DPRMost = most
	}
}
