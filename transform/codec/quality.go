package codec

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/transform"
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
	plain      bool    // JPEG: coefficients as libjpeg chooses them
	baseline   bool    // JPEG, plain: in one pass, which is read in less time
	bits       int     // PNG in a palette: those of a pixel that hold every colour; 0 = as many as a palette has, and colours mixed by dithering
	target     float64 // of SSIMULACRA2; 0 = none: the URL names q, or the format has none
	predicted  int     // the q that the model named; 0 = none
	note       string
}

// wish is what is asked of one encode.
type wish struct {
	format  variant.Format
	spec    variant.Spec
	effort  int // of AVIF
	targets transform.Quality
	drift   transform.Drift
}

// chooser picks the settings of a picture.
type chooser interface {
	choose(pic *picture, w wish) settings
	look(pic *picture) *view // nil where there is nothing to see
	// expect is the q that is foretold to reach a score; 0 where none is.
	expect(pic *picture, w wish, score float64) int
	// inLevels is a picture of print, without alpha and in memory, in the fewest levels that keep the target: by
	// measure, or as it is foretold where that is nil. It is nil where none suits.
	inLevels(im *pixmap, target float64, measure func(few *pixmap) (float64, error)) (few *pixmap, n int, err error)
}

// The efforts. WebP 4 is where bytes stop falling fast; palettes at 4 took half
// the time of libvips' own 7, with as many bytes, on the one picture that was tried.
const (
	effortWebP    = 4
	effortPalette = 4
)

// The targets from which colours keep their full resolution (4:4:4); below them 4:2:0 costs fewer bytes for the same
// score.
const (
	fullChromaPhoto = 75
	fullChromaMixed = 70
)

// vividFrom is the mean distance of colours from grey from which JPEG and WebP lose so much with halved colours that
// some photos stay ten below the target at any q. One photo in ten is so vivid.
const vividFrom = 60

// fullChroma reports whether colours keep their resolution, or, in WebP, which has none but 4:2:0, are halved with
// care, for half as much time again. Print and drawings have coloured lines: at 60 and at 70 they need 4 to 7 % fewer
// bytes with full colours in AVIF, 3 % in WebP, and as many in JPEG, where every tenth of them cannot reach 70 without.
func fullChroma(f variant.Format, kind Kind, target float64, t Traits) bool {
	switch {
	case kind == Text, kind == Graphic:
		return true
	case f != variant.AVIF && t.Colourful >= vividFrom:
		return true
	case kind == Mixed:
		return target >= fullChromaMixed
	}
	return target >= fullChromaPhoto
}

// automatic chooses the q that the model expects to reach the target, from what the picture is like. The table answers
// for pictures that cannot be probed: animations, and those smaller than a tile.
type automatic struct {
	model  *Model
	set    *Set
	levels *LevelsModel
	table  table
}

// newAutomatic takes the coefficients of the encoder libraries that are linked. An unknown libaom is taken for recent:
// where plugins hide the library, the distribution is.
func newAutomatic(aom string) (*automatic, error) {
	m, err := readModel(modelFile)
	if err != nil {
		return nil, err
	}
	l, err := readLevels(levelsFile)
	if err != nil {
		return nil, err
	}
	return &automatic{model: m, set: m.Sets[SetFor(aom)], levels: l, table: fixedTable(aom)}, nil
}

// SetFor is the name of the coefficients for a libaom, by its version. What it is told to keep like the original is
// part of them: see gc_tune.
func SetFor(aom string) string {
	switch {
	case olderThan(aom, 3, 12):
		return olderSet
	case olderThan(aom, 3, 13):
		return trixieSet
	}
	return recentSet
}

func (a *automatic) choose(pic *picture, w wish) settings {
	s := a.table.choose(pic, w)
	if s.target == 0 {
		return s
	}
	v := a.look(pic)
	if v == nil {
		return s
	}
	kind := kindOf(v.kind, w.spec.Legible)
	s.target = target(w, kind)
	s.fullChroma = fullChroma(w.format, kind, s.target, v.traits)
	coder := coderName(w.format, w.effort, s.fullChroma)
	q, ok := a.predict(coder, kind, s.target, v.traits, w.drift)
	if !ok {
		return s
	}
	s.q, s.predicted = q, q
	w.spec.Class = variant.ClassSaver
	least := target(w, kind)
	if low, ok := a.predict(coderName(w.format, w.effort, fullChroma(w.format, kind, least, v.traits)), kind, least, v.traits, w.drift); ok {
		s.floor = min(low, q)
	}
	s.note = fmt.Sprintf("%s, target %.0f", kind, s.target)
	if w.format == variant.WebP {
		s.alphaQ = min(100, s.q+20)
	}
	return s
}

func (a *automatic) expect(pic *picture, w wish, score float64) int {
	v := a.look(pic)
	if v == nil {
		return 0
	}
	kind := kindOf(v.kind, w.spec.Legible)
	q, _ := a.predict(coderName(w.format, w.effort, fullChroma(w.format, kind, target(w, kind), v.traits)), kind, score, v.traits, w.drift)
	return q
}

func (a *automatic) look(pic *picture) *view { return pic.look(a.model) }

// Stars are thin bright marks, and taken for print or drawings, whose predictors were not fitted on them. Such a
// picture is a night where so many of its blocks are dark, and a trial takes so much of its contrast, as it does with
// what is faint; screens with light letters on dark ground come to 0.01 to 0.09. What demands more counts then, and
// AVIF, which wipes faint stars out, gets more on top.
const (
	nightDark = 0.4
	nightSoft = 0.1
	nightMore = 4
)

func night(t Traits) bool { return t.Dark >= nightDark && t.Soft >= nightSoft }

// predict is the q for a kind; a mixed picture gets what is needed by the more demanding of its parts, and one that may
// be a photo or a drawing what lies between, by the odds.
func (a *automatic) predict(coder string, kind Kind, target float64, t Traits, d transform.Drift) (int, bool) {
	plain := strings.TrimSuffix(coder, "c") // The self-check is of one of them.
	drawn, ok := a.set.Q(a.model, coder, groupDrawn, target, t)
	drawn = d.Q(plain, true, drawn)
	sky := kind != Photo && night(t)
	if kind == Text && !sky || !ok {
		return drawn, ok
	}
	photo, ok := a.photoQ(coder, target, t)
	photo = d.Q(plain, false, photo)
	if sky || kind == Mixed {
		q := max(photo, drawn)
		if sky && strings.HasPrefix(coder, "avif") {
			q = min(q+nightMore, 100)
		}
		return q, ok
	}
	p := a.model.photoRatherThanGraphic(t)
	return int(math.Round(p*float64(photo) + (1-p)*float64(drawn))), ok
}

// The fit aims above the target, lest what is misjudged falls far below. In the saving class photos that it never saw
// came to 52.1 where 50 was asked for, on average: some of it is given back. Photos that a trial encodes in few bytes a
// pixel, smooth and dark ones, are insured against being misjudged, which costs them some 300 bytes.
const (
	savingBelow = 60
	savingLess  = 1.5
	lightRate   = 0.04
	lightMore   = 3
)

// photoQ is the q for a photo. AVIF of speed 8 reaches the same score with a q that is 0.7 lower than that of speed 9,
// on average of those that the model was fitted on; where it is foretold to be more than one lower, speed 9 is
// believed: what is misjudged so is fine grain.
func (a *automatic) photoQ(coder string, target float64, t Traits) (int, bool) {
	if strings.HasPrefix(coder, "avif") && target < fullChromaMixed { // Full colours were not fitted for photos below; the q differs by one or two.
		coder = strings.TrimSuffix(coder, "c")
	}
	saving := target < savingBelow
	if saving {
		target -= savingLess
	}
	q, ok := a.set.Q(a.model, coder, groupPhoto, target, t)
	if rest, better := strings.CutPrefix(coder, "avif8"); better {
		if fast, ok := a.set.Q(a.model, "avif9"+rest, groupPhoto, target, t); ok {
			q = max(q, fast-1)
		}
	}
	if saving && t.Rate < lightRate {
		q += lightMore
	}
	return q, ok
}

// target is the score that a weight class asks for; what holds print has a floor.
func target(w wish, kind Kind) float64 {
	q := w.targets.OrDefault()
	t := q.Normal
	switch w.spec.Class {
	case variant.ClassHigh:
		t = q.High
	case variant.ClassSaver:
		t = q.Saver
	}
	if kind.legible() {
		t = max(t, q.TextFloor)
	}
	return t
}

// tiers are the q of the classes, in the order of variant.Class: normal, high, saver.
type tiers [3]int

// table is a chooser with one q for each format, kind and class: what reaches the class's target on average.
type table map[variant.Format]map[Kind]tiers

// fixedTable is the table for the libaom that is linked.
func fixedTable(aom string) table {
	t := table{
		variant.JPEG: {Photo: {64, 82, 31}, Text: {60, 78, 41}},
		variant.WebP: {Photo: {73, 86, 33}, Text: {48, 71, 35}},
		variant.AVIF: {Photo: {57, 72, 38}, Text: {53, 69, 42}},
	}
	if olderThan(aom, 3, 12) {
		t[variant.AVIF] = map[Kind]tiers{Photo: {61, 77, 44}, Text: {57, 74, 47}}
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

func (t table) look(*picture) *view { return nil }

func (t table) expect(*picture, wish, float64) int { return 0 }

func (t table) inLevels(*pixmap, float64, func(*pixmap) (float64, error)) (*pixmap, int, error) {
	return nil, 0, nil
}

func (t table) choose(_ *picture, w wish) settings {
	s := settings{effort: effortPalette}
	explicit := explicitQuality(w.format, w.spec)
	kind := Photo
	if w.spec.Legible == variant.LegibleYes {
		kind = Text
	}
	tier, lossy := t[w.format][kind]
	switch {
	case explicit > 0:
		s.q, s.floor, s.note = explicit, explicit, "q as asked"
	case lossy:
		s.q, s.floor = tier[w.spec.Class], tier[variant.ClassSaver]
		s.target = target(w, kind)
		s.note = fmt.Sprintf("fixed q, target %.0f", s.target)
	case w.format == variant.GIF:
		s.q, s.floor, s.note = 100, 100, "256 colours"
	default:
		s.lossless, s.note = true, "lossless"
	}
	s.fullChroma = s.q >= 90 || s.target > 0 && fullChroma(w.format, kind, s.target, Traits{})
	switch w.format {
	case variant.AVIF:
		s.effort = w.effort
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
