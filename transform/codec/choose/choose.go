// Package choose picks what an encoder is told, by the URL or by what the picture is like. It encodes nothing.
package choose

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// KindOf is the kind that counts, where the URL may have a word in it.
func KindOf(seen look.Kind, word variant.Legibility) look.Kind {
	switch {
	case word == variant.LegibleYes:
		return look.Text
	case word == variant.LegibleNo && seen.Legible():
		return look.Photo
	}
	return seen
}

// ScoreSlack is how far below its target a measured score may be: a little less is not seen.
const ScoreSlack = 0.5

// Settings are what an encoder is told for one picture, and why.
type Settings struct {
	vips.Saving
	Floor     int     // the lowest q that the rule "never larger" may go to
	Target    float64 // of SSIMULACRA2; 0 = none: the URL names q, or the format has none
	Predicted int     // the q that the model named; 0 = none
	Note      string
}

// Wish is what is asked of one encode.
type Wish struct {
	Format  variant.Format
	Spec    variant.Spec
	Effort  int // of AVIF
	Targets transform.Quality
	Drift   transform.Drift
}

// The efforts. WebP 4 is where bytes stop falling fast; palettes at 4 took half
// the time of libvips' own 7, with as many bytes, on the one picture that was tried.
const (
	EffortWebP    = 4
	EffortPalette = 4
)

// The targets from which colours keep their full resolution (4:4:4); below them 4:2:0 costs fewer bytes for the same
// score.
const (
	fullChromaPhoto = 75
	fullChromaMixed = 70
)

// VividFrom is the mean distance of colours from grey from which JPEG and WebP lose so much with halved colours that
// some photos stay ten below the target at any q. One photo in ten is so vivid.
const VividFrom = 60

// fullChroma reports whether colours keep their resolution, or, in WebP, which has none but 4:2:0, are halved with
// care, for half as much time again. Print and drawings have coloured lines: at 60 and at 70 they need 4 to 7 % fewer
// bytes with full colours in AVIF, 3 % in WebP, and as many in JPEG, where every tenth of them cannot reach 70 without.
func fullChroma(f variant.Format, kind look.Kind, target float64, t look.Traits) bool {
	switch {
	case kind == look.Text, kind == look.Graphic:
		return true
	case f != variant.AVIF && t.Colourful >= VividFrom:
		return true
	case kind == look.Mixed:
		return target >= fullChromaMixed
	}
	return target >= fullChromaPhoto
}

// Chooser chooses the q that the model expects to reach the target, from what the picture is like. The table answers
// for pictures that cannot be probed: animations, and those smaller than a tile.
type Chooser struct {
	model  *look.Model
	set    *look.Set
	levels *look.LevelsModel
	table  table
}

// New takes the coefficients of the encoder libraries that are linked. An unknown libaom is taken for recent:
// where plugins hide the library, the distribution is.
func New(aom string) (*Chooser, error) {
	m, l, err := look.Models()
	if err != nil {
		return nil, err
	}
	return &Chooser{model: m, set: m.Sets[SetFor(aom)], levels: l, table: fixedTable(aom)}, nil
}

// SetFor is the name of the coefficients for a libaom, by its version. What it is told to keep like the original is
// part of them: see gc_tune.
func SetFor(aom string) string {
	switch {
	case olderThan(aom, 3, 12):
		return look.OlderSet
	case olderThan(aom, 3, 13):
		return look.TrixieSet
	}
	return look.RecentSet
}

// Choose picks the settings of an encode.
func (a *Chooser) Choose(pic *render.Picture, w Wish) Settings {
	s := a.table.choose(w)
	if s.Target == 0 {
		return s
	}
	v := a.Look(pic)
	if v == nil {
		return s
	}
	kind := KindOf(v.Kind, w.Spec.Legible)
	s.Target = Target(w, kind)
	s.FullChroma = fullChroma(w.Format, kind, s.Target, v.Traits)
	coder := coderName(w.Format, w.Effort, s.FullChroma)
	q, ok := a.predict(coder, kind, s.Target, v.Traits, w.Drift)
	if !ok {
		return s
	}
	s.Q, s.Predicted = q, q
	w.Spec.Class = variant.ClassSaver
	least := Target(w, kind)
	if low, ok := a.predict(coderName(w.Format, w.Effort, fullChroma(w.Format, kind, least, v.Traits)), kind, least, v.Traits, w.Drift); ok {
		s.Floor = min(low, q)
	}
	s.Note = fmt.Sprintf("%s, target %.0f", kind, s.Target)
	if w.Format == variant.WebP {
		s.AlphaQ = min(100, s.Q+20)
	}
	return s
}

// Expect is the q that is foretold to reach a score; 0 where none is.
func (a *Chooser) Expect(pic *render.Picture, w Wish, score float64) int {
	v := a.Look(pic)
	if v == nil {
		return 0
	}
	kind := KindOf(v.Kind, w.Spec.Legible)
	q, _ := a.predict(coderName(w.Format, w.Effort, fullChroma(w.Format, kind, Target(w, kind), v.Traits)), kind, score, v.Traits, w.Drift)
	return q
}

// Look is what is seen of a picture; nil where there is nothing to see.
func (a *Chooser) Look(pic *render.Picture) *look.View { return pic.Look(a.model) }

// Stars are thin bright marks, and taken for print or drawings, whose predictors were not fitted on them. Such a
// picture is a night where so many of its blocks are dark, and a trial takes so much of its contrast, as it does with
// what is faint; screens with light letters on dark ground come to 0.01 to 0.09. What demands more counts then, and
// AVIF, which wipes faint stars out, gets more on top.
const (
	nightDark = 0.4
	nightSoft = 0.1
	nightMore = 4
)

func night(t look.Traits) bool { return t.Dark >= nightDark && t.Soft >= nightSoft }

// predict is the q for a kind; a mixed picture gets what is needed by the more demanding of its parts, and one that may
// be a photo or a drawing what lies between, by the odds.
func (a *Chooser) predict(coder string, kind look.Kind, target float64, t look.Traits, d transform.Drift) (int, bool) {
	plain := strings.TrimSuffix(coder, "c") // The self-check is of one of them.
	drawn, ok := a.set.Q(a.model, coder, look.GroupDrawn, target, t)
	drawn = d.Q(plain, true, drawn)
	sky := kind != look.Photo && night(t)
	if kind == look.Text && !sky || !ok {
		return drawn, ok
	}
	photo, ok := a.photoQ(coder, target, t)
	photo = d.Q(plain, false, photo)
	if sky || kind == look.Mixed {
		q := max(photo, drawn)
		if sky && strings.HasPrefix(coder, "avif") {
			q = min(q+nightMore, 100)
		}
		return q, ok
	}
	p := a.model.PhotoRatherThanGraphic(t)
	return int(math.Round(p*float64(photo) + (1-p)*float64(drawn))), ok
}

// The fit aims above the target, so that misjudged pictures do not fall far below. In the saving class photos that it
// never saw came to 52.1 where 50 was asked for, on average: some of it is given back. Photos that a trial encodes in
// few bytes a pixel, smooth and dark ones, are insured against being misjudged, which costs them some 300 bytes.
const (
	savingBelow = 60
	savingLess  = 1.5
	lightRate   = 0.04
	lightMore   = 3
)

// photoQ is the q for a photo. AVIF of speed 8 reaches the same score with a q that is 0.7 lower than that of speed 9,
// on average of those that the model was fitted on; where it is foretold to be more than one lower, speed 9 is
// believed: what is misjudged so is fine grain.
func (a *Chooser) photoQ(coder string, target float64, t look.Traits) (int, bool) {
	if strings.HasPrefix(coder, "avif") && target < fullChromaMixed { // Full colours were not fitted for photos below; the q differs by one or two.
		coder = strings.TrimSuffix(coder, "c")
	}
	saving := target < savingBelow
	if saving {
		target -= savingLess
	}
	q, ok := a.set.Q(a.model, coder, look.GroupPhoto, target, t)
	if rest, better := strings.CutPrefix(coder, "avif8"); better {
		if fast, ok := a.set.Q(a.model, "avif9"+rest, look.GroupPhoto, target, t); ok {
			q = max(q, fast-1)
		}
	}
	if saving && t.Rate < lightRate {
		q += lightMore
	}
	return q, ok
}

// Target is the score that a weight class asks for; what holds print has a floor.
func Target(w Wish, kind look.Kind) float64 {
	q := w.Targets.OrDefault()
	t := q.Normal
	switch w.Spec.Class {
	case variant.ClassHigh:
		t = q.High
	case variant.ClassSaver:
		t = q.Saver
	}
	if kind.Legible() {
		t = max(t, q.TextFloor)
	}
	return t
}

// tiers are the q of the classes, in the order of variant.Class: normal, high, saver.
type tiers [3]int

// table has one q for each format, kind and class: what reaches the class's target on average.
type table map[variant.Format]map[look.Kind]tiers

// fixedTable is the table for the libaom that is linked.
func fixedTable(aom string) table {
	t := table{
		variant.JPEG: {look.Photo: {64, 82, 31}, look.Text: {60, 78, 41}},
		variant.WebP: {look.Photo: {73, 86, 33}, look.Text: {48, 71, 35}},
		variant.AVIF: {look.Photo: {57, 72, 38}, look.Text: {53, 69, 42}},
	}
	if olderThan(aom, 3, 12) {
		t[variant.AVIF] = map[look.Kind]tiers{look.Photo: {61, 77, 44}, look.Text: {57, 74, 47}}
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

func (t table) choose(w Wish) Settings {
	s := Settings{Saving: vips.Saving{Effort: EffortPalette}}
	explicit := render.ExplicitQuality(w.Format, w.Spec)
	kind := look.Photo
	if w.Spec.Legible == variant.LegibleYes {
		kind = look.Text
	}
	tier, lossy := t[w.Format][kind]
	switch {
	case explicit > 0:
		s.Q, s.Floor, s.Note = explicit, explicit, "q as asked"
	case lossy:
		s.Q, s.Floor = tier[w.Spec.Class], tier[variant.ClassSaver]
		s.Target = Target(w, kind)
		s.Note = fmt.Sprintf("fixed q, target %.0f", s.Target)
	case w.Format == variant.GIF:
		s.Q, s.Floor, s.Note = 100, 100, "256 colours"
	default:
		s.Lossless, s.Note = true, "lossless"
	}
	s.FullChroma = s.Q >= 90 || s.Target > 0 && fullChroma(w.Format, kind, s.Target, look.Traits{})
	switch w.Format {
	case variant.AVIF:
		s.Effort = w.Effort
	case variant.WebP:
		s.Effort = EffortWebP
		s.AlphaQ = min(100, s.Q+20)
	}
	return s
}

// The efforts of AVIF: libaom's speeds 9, 8 and 6. The second takes more than three times as long as the first, for a
// tenth fewer bytes of a photo and a third of a text at the same likeness; the third takes three times as long as the
// second, for a seventh.
const (
	EffortFirst = 0
	EffortFinal = 1
	EffortHot   = 3
)

// coderName is the name of an encoder with its settings, as the predictors know it; "" for encoders without a
// predictor.
func coderName(f variant.Format, effort int, fullChroma bool) string {
	name := ""
	switch f {
	case variant.AVIF:
		name = fmt.Sprintf("avif%d", 9-effort)
	case variant.WebP:
		name = "webp4"
	case variant.JPEG:
		name = "jpeg"
	default:
		return ""
	}
	if fullChroma {
		name += "c"
	}
	return name
}
