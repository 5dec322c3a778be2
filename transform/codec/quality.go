package codec

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/variant"
)

// lowestQuality is the floor of a search for bytes: below it a picture is not worth its bytes.
const lowestQuality = 10

// maxEncodes bounds such a search.
const maxEncodes = 6

// settings are what an encoder is told for one picture.
type settings struct {
	q          int
	floor      int // the lowest q that the rule "never larger" may go to
	effort     int
	fullChroma bool // 4:4:4
	alphaQ     int
	lossless   bool
	note       string
}

// chooser picks the settings of a picture in a format. The fixed table is one; a predictor that looks at the pixels is another.
type chooser interface {
	choose(pic *picture, f variant.Format, spec variant.Spec) settings
}

// The efforts. WebP 4 is where bytes stop falling fast; palettes at 4 took half
// the time of libvips' own 7, with as many bytes, on the one picture that was tried.
const (
	effortWebP    = 4
	effortPalette = 4
)

// kind is what a picture shows, as far as it decides quality.
type kind int

const (
	photo kind = iota
	text
)

// tiers are the q of the classes, in the order of variant.Class: normal, high, saver.
type tiers [3]int

// table is a chooser with one q for each format, kind and class: what reaches the class's target on average.
type table map[variant.Format]map[kind]tiers

// fixedTable is the table for the libaom that is linked. An unknown one is taken for recent: where plugins hide the library, the
// distribution is. The figures for libaom before 3.12 are measured for normal photos and moved by the same step elsewhere.
func fixedTable(aom string) table {
	t := table{
		variant.JPEG: {photo: {64, 82, 31}, text: {60, 78, 41}},
		variant.WebP: {photo: {73, 86, 33}, text: {48, 71, 35}},
		variant.AVIF: {photo: {57, 72, 38}, text: {53, 69, 42}},
	}
	if olderThan(aom, 3, 12) {
		t[variant.AVIF] = map[kind]tiers{photo: {61, 77, 44}, text: {57, 74, 47}}
	}
	return t
}

// olderThan reads a version such as "3.6.0" or "v3.6.0"; false when it is not one.
func olderThan(version string, major, minor int) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (a < major || (a == major && b < minor))
}

func (t table) choose(_ *picture, f variant.Format, spec variant.Spec) settings {
	s := settings{effort: effortPalette}
	explicit := explicitQuality(f, spec)
	k := photo
	if spec.Legible == variant.LegibleYes {
		k = text
	}
	tier, lossy := t[f][k]
	switch {
	case explicit > 0:
		s.q, s.floor, s.note = explicit, explicit, "q as asked"
	case lossy:
		s.q, s.floor = tier[spec.Class], tier[variant.ClassSaver]
		s.note = fmt.Sprintf("fixed q for %s %s", className(spec.Class), kindName(k))
	case f == variant.GIF:
		s.q, s.floor, s.note = 100, 100, "256 colours"
	default:
		s.lossless, s.note = true, "lossless"
	}
	s.fullChroma = s.q >= 90 || (explicit == 0 && spec.Class == variant.ClassHigh)
	switch f {
	case variant.WebP:
		s.effort = effortWebP
		s.alphaQ = min(100, s.q+20)
	}
	return s
}

// explicitQuality is the q that the URL names for a format; 0 for none. The quality option beats format_quality.
func explicitQuality(f variant.Format, spec variant.Spec) int {
	if spec.Quality > 0 {
		return int(spec.Quality)
	}
	switch f {
	case variant.JPEG:
		return int(spec.FormatQuality.JPEG)
	case variant.PNG:
		return int(spec.FormatQuality.PNG)
	case variant.WebP:
		return int(spec.FormatQuality.WebP)
	case variant.AVIF:
		return int(spec.FormatQuality.AVIF)
	case variant.GIF:
		return int(spec.FormatQuality.GIF)
	}
	return 0
}

// fit finds the highest q between low and high whose bytes stay within limit, in at most maxEncodes encodes. If none does, the
// lowest is the answer and says so.
func (e *encoder) fit(f variant.Format, s settings, limit, high, low int) (encoded, error) {
	s.q = high
	last, err := e.save(f, s)
	if err != nil || len(last.body) <= limit {
		return last, err
	}
	var best encoded
	for n := 1; n < maxEncodes-1 && low < high; n++ {
		s.q = (low + high) / 2
		if last, err = e.save(f, s); err != nil {
			return encoded{}, err
		}
		if len(last.body) <= limit {
			best, low = last, s.q+1
		} else {
			high = s.q
		}
	}
	if best.body == nil {
		s.q = low
		if best, err = e.save(f, s); err != nil {
			return encoded{}, err
		}
	}
	if len(best.body) > limit {
		best.note = fmt.Sprintf("%d bytes are not enough even at the lowest q", limit)
	} else {
		best.note = fmt.Sprintf("lower q to fit %d bytes", limit)
	}
	return best, nil
}

func className(c variant.Class) string {
	switch c {
	case variant.ClassHigh:
		return "high"
	case variant.ClassSaver:
		return "saver"
	}
	return "normal"
}

func kindName(k kind) string {
	if k == text {
		return "text"
	}
	return "photo"
}
