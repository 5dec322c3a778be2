package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Used is the use by a token's calls, or a part of it.
type Used struct {
	Units, Images, Refused int64
	Made, Broken           int64 // variants
	Fetched, Stored        int64 // bytes
	Replaced               int64 // bytes of the originals that the stored variants replace
}

// usage are the counters by the token's name.
type usage struct {
	units, images, refused, made, broken, fetched, stored, replaced *prometheus.CounterVec
}

func (m *Metrics) declareUsage() {
	of := func(name, help string) *prometheus.CounterVec {
		return m.counters("usage_"+name+"_total", help, "token")
	}
	m.usage = usage{
		units:    of("units", "Data Units of a token's calls that were accepted."),
		images:   of("images", "Images that a token's accepted calls and retries have asked for."),
		refused:  of("refused", "Calls and retries of a token that its quota had no room for."),
		made:     of("made", "Variants made for a token."),
		broken:   of("broken", "Variants asked for by a token whose source has to be mended."),
		fetched:  of("fetched_bytes", "Bytes of the originals of which variants were made for a token."),
		stored:   of("stored_bytes", "Bytes of the variants made for a token."),
		replaced: of("replaced_bytes", "Bytes that the originals would take in the place of the variants made for a token; replaced less stored is what was saved."),
	}
}

func (u usage) all() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{u.units, u.images, u.refused, u.made, u.broken, u.fetched, u.stored, u.replaced}
}

// Used counts the use of a token. Only configured tokens are passed: they bound the label.
func (m *Metrics) Used(token string, u Used) {
	token = strings.ToValidUTF8(token, "")
	for i, n := range []int64{u.Units, u.Images, u.Refused, u.Made, u.Broken, u.Fetched, u.Stored, u.Replaced} {
		m.usage.all()[i].WithLabelValues(token).Add(float64(max(0, n)))
	}
}

// ExpectTokens starts the series of tokens at 0.
func (m *Metrics) ExpectTokens(names []string) {
	for _, name := range names {
		m.Used(name, Used{})
	}
}
