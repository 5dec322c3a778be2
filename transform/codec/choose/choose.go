// Package choose picks the settings of an encoder, from the URL or from the picture's properties. It does not encode.
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

// KindOf returns the kind of a picture, which the URL may override.
func KindOf(seen look.Kind, word variant.Legibility) look.Kind {
	switch {
	case word == variant.LegibleYes:
		return look.Text
	case word == variant.LegibleNo && seen.Legible():
		return look.Photo
	}
	return seen
}

// ScoreSlack is how far below its target a measured score may be: the difference is invisible.
const ScoreSlack = 0.5

// Settings are the settings for one encode, and the reason for them.
type Settings struct {
	vips.Saving
	Floor     int     // the lowest q that the rule "never larger than the original" may use
	Target    float64 // SSIMULACRA2; 0 = none: the URL names q, or the format has none
	Predicted int     // the q that the model predicts; 0 = none
	Note      string
}

// Wish is the request for one encode.
type Wish struct {
	Format  variant.Format
	Spec    variant.Spec
	Effort  int // of AVIF and JPEG XL
	Targets transform.Quality
	Drift   transform.Drift
}

// The efforts. At WebP 4 the bytes stop falling fast. Palettes at 4 took half the time of libvips' own 7, with as many
// bytes, on the one picture that was tried.
const (
	EffortWebP    = 4
	EffortPalette = 4
)

// The targets from which chroma keeps its full resolution (4:4:4). Below them 4:2:0 costs fewer bytes for the same
// score.
const (
	fullChromaPhoto = 75
	fullChromaMixed = 70
)

// VividFrom is the mean distance of colours from grey from which JPEG and WebP lose so much by halved chroma that some
// photos stay ten below the target at any q. One photo in ten is so vivid.
const VividFrom = 60

// fullChroma reports whether chroma keeps its resolution. WebP has only 4:2:0; there it means a careful way of halving,
// which takes half as much time again. Print and drawings have coloured lines. At targets of 60 and 70, full chroma
// saves 4 to 7 % of their bytes in AVIF and 3 % in WebP. In JPEG it saves none, but every tenth of them cannot reach 70
// without it.
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

// Chooser chooses the q that the model expects to reach the target for a picture. The table is used for pictures that
// cannot be probed: animations, and those smaller than a tile.
type Chooser struct {
	model  *look.Model
	set    *look.Set
	levels *look.LevelsModel
	table  table
	iq     bool // the set is of a libaom that is tuned by iq
}

// New loads the coefficients for the linked encoder libraries. An unknown libaom is taken for a recent one:
// distributions whose plugins hide the library are recent.
func New(aom string) (*Chooser, error) {
	m, l, err := look.Models()
	if err != nil {
		return nil, err
	}
	return &Chooser{model: m, set: m.Sets[SetFor(aom)], levels: l, table: fixedTable(aom), iq: SetFor(aom) != look.OlderSet}, nil
}

// SetFor is the name of the coefficients for a version of libaom. The coefficients include the tuning, see gc_tune.
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
	if w.Format == variant.AVIF && pic.Frames > 1 {
		return moving(s, w, pic.Alpha)
	}
	v := a.Look(pic)
	if v == nil {
		return s
	}
	kind := KindOf(v.Kind, w.Spec.Legible)
	s.Target = a.target(w, kind, v)
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

// Expect is the q that is predicted to reach a score; 0 if there is no prediction.
func (a *Chooser) Expect(pic *render.Picture, w Wish, score float64) int {
	v := a.Look(pic)
	if v == nil {
		return 0
	}
	kind := KindOf(v.Kind, w.Spec.Legible)
	q, _ := a.predict(coderName(w.Format, w.Effort, fullChroma(w.Format, kind, a.target(w, kind, v), v.Traits)), kind, score, v.Traits, w.Drift)
	return q
}

// Look probes the picture; nil if it cannot be probed.
func (a *Chooser) Look(pic *render.Picture) *look.View { return pic.Look(a.model) }

// Stars are thin bright marks. They are taken for print or drawings, but the predictors of those were not fitted on
// them. A picture counts as a night sky if a large share of its blocks is dark and the trial loses much of its
// contrast, as it does with faint detail. Screens with light letters on a dark background lose only 0.01 to 0.09. A
// night sky gets the higher q of photo and drawing. AVIF, which erases faint stars, gets more on top.
const (
	nightDark = 0.4
	nightSoft = 0.1
	nightMore = 4
)

func night(t look.Traits) bool { return t.Dark >= nightDark && t.Soft >= nightSoft }

// leastPrint is the lowest q of print in AVIF of speed 8. Tuned by iq, libaom reaches the same score with nearly the
// same q for all print: 56 (standard deviation 3) for 70, of 40 pages and screens. The model was fitted on encodes with
// palettes, and gave q of 40 to 50 for some. Screens that are not scaled still get palettes, and need a lower q.
func leastPrint(target float64) int {
	if target < 70 {
		return int(57.5 - 0.55*(70-target))
	}
	return int(57.5 + 0.75*(target-70))
}

// scaledEqual is the share of pixels equal to their neighbour below which a screen is scaled.
const scaledEqual = 0.92

// drawnQ is the q for print or a drawing.
func (a *Chooser) drawnQ(coder string, kind look.Kind, target float64, t look.Traits) (int, bool) {
	q, ok := a.set.Q(a.model, coder, look.GroupDrawn, target, t)
	if kind.Legible() && a.iq && strings.HasPrefix(coder, "avif8") && t.Equal < scaledEqual {
		q = max(q, leastPrint(target))
	}
	return q, ok
}

// predict is the q for a kind.
func (a *Chooser) predict(coder string, kind look.Kind, target float64, t look.Traits, d transform.Drift) (int, bool) {
	q, ok := a.kindQ(coder, kind, target, t, d)
	if ok && strings.HasPrefix(coder, "jpeg") {
		q = max(q, LeastJPEG)
	}
	return q, ok
}

// kindQ is the q that the model gives for a kind. A mixed picture gets the higher of the q for its parts. A picture that may be a photo or
// a drawing gets the mean of both, weighted by probability.
func (a *Chooser) kindQ(coder string, kind look.Kind, target float64, t look.Traits, d transform.Drift) (int, bool) {
	plain := strings.TrimSuffix(coder, "c") // The self-check is done for one chroma resolution.
	drawn, ok := a.drawnQ(coder, kind, target, t)
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

// The fit aims above the target, so that misjudged pictures do not fall far below it. In the saver class, photos
// outside the fit reached 52.1 on average for a target of 50, so part of the margin is taken back. Photos that need few
// bytes per pixel in the trial, which are smooth and dark, get a higher q in case they are misjudged. It costs some 300
// bytes each.
const (
	savingBelow = 60
	savingLess  = 1.5
	lightRate   = 0.04
	lightMore   = 3
)

// LeastJPEG is the lowest q that is chosen for a JPEG. Below it blocks are seen everywhere in smooth shades, which the
// score hardly minds: drawings reach 50 with q 8 to 17. Vivid photos were predicted 6 to 14, came to 19 to 45, and needed
// 15 to 32.
const LeastJPEG = 20

// photoQ is the q for a photo. AVIF of speed 8 reaches the same score with a q that is 0.7 lower than that of speed 9,
// on average over the fitted photos. If the prediction is more than one lower, that of speed 9 is used: such errors
// occur with fine grain.
func (a *Chooser) photoQ(coder string, target float64, t look.Traits) (int, bool) {
	if strings.HasPrefix(coder, "avif") && target < fullChromaMixed { // Full chroma was not fitted for photos below; the q differs by one or two.
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

// tiers holds the q of the classes, in the order of variant.Class: normal, high, saver.
type tiers [3]int

// table has one q for each format, kind and class: the q that reaches the class's target on average.
type table map[variant.Format]map[look.Kind]tiers

// fixedTable is the table for the linked libaom.
func fixedTable(aom string) table {
	t := table{
		variant.JPEG: {look.Photo: {64, 82, 31}, look.Text: {60, 78, 41}},
		variant.WebP: {look.Photo: {73, 86, 33}, look.Text: {48, 71, 35}},
		variant.AVIF: {look.Photo: {57, 72, 38}, look.Text: {53, 69, 42}},
		variant.JXL:  {look.Photo: {69, 83, 28}, look.Text: {60, 81, 40}},
	}
	if olderThan(aom, 3, 12) {
		t[variant.AVIF] = map[look.Kind]tiers{look.Photo: {61, 77, 44}, look.Text: {57, 74, 47}}
	}
	return t
}

// olderThan reads a version such as "3.6.0" or "v3.6.0"; false if it is not a version.
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
	case variant.AVIF, variant.JXL:
		s.Effort = w.Effort
	case variant.WebP:
		s.Effort = EffortWebP
		s.AlphaQ = min(100, s.Q+20)
	}
	return s
}

// The efforts of AVIF: libaom's speeds 9, 8 and 6. Final takes more than three times as long as First, and saves a
// tenth of the bytes of a photo and a third of a text at the same score. Hot takes three times as long as Final, and
// saves a seventh.
const (
	EffortFirst = 0
	EffortFinal = 1
	EffortHot   = 3
)

// The efforts of JPEG XL, libjxl's own numbers: at 3 an encode takes as long as the first of AVIF, at 5 as long as the
// final one. 7 takes 2.4 times as long as 5, for 1 to 5 % fewer bytes.
const (
	EffortFirstJXL = 3
	EffortFinalJXL = 5
)

// coderName is the name of an encoder and its settings in the predictors; "" for encoders without a predictor.
func coderName(f variant.Format, effort int, fullChroma bool) string {
	name := ""
	switch f {
	case variant.JXL: // It has no 4:2:0.
		return fmt.Sprintf("jxl%d", effort)
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
