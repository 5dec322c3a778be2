package encode

import (
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Wish is the request for an encode in a format.
func (e *Encoder) Wish(f variant.Format) choose.Wish {
	w := choose.Wish{Format: f, Spec: e.Job.Spec, Targets: e.Job.Lim.Quality, Drift: e.Job.Lim.Drift}
	if f.Staged() {
		w.Effort = e.effort(f)
	}
	return w
}

// plain reports whether the picture was probed as drawn, with at least the given share of pixels equal to their
// neighbour.
func (e *Encoder) plain(share float64) bool {
	v := e.Pic.Seen
	return v != nil && v.Kind != look.Photo && v.Traits.Equal >= share
}

// levelsFormat is the format for the picture in few levels. ok is false unless it is print on a flat background whose
// quality the URL leaves open, and the client accepts a format for it.
func (e *Encoder) levelsFormat(f variant.Format) (exact variant.Format, ok bool) {
	s := e.Job.Spec
	if exact, ok = f, true; f != variant.WebP {
		exact, ok = exactFormat(s)
	}
	if !ok {
		return exact, false
	}
	v := e.Choices.Look(e.Pic)
	return exact, v != nil && choose.KindOf(v.Kind, s.Legible) == look.Text && v.Traits.Equal >= look.LevelsFlat &&
		!e.Pic.Alpha && render.ExplicitQuality(f, s) == 0 && s.AutoSize.Bytes == 0
}

// levelsJudge makes the judge of the picture in few levels; nil if its score is predicted.
func (e *Encoder) levelsJudge(im *vips.Image) (*judge.Judge, error) {
	if !e.measurable() {
		return nil, nil
	}
	return judge.New(im, true)
}

// leastLevels is the score that a picture in few levels must have.
func (e *Encoder) leastLevels(wanted float64) float64 {
	if e.unhurried() {
		return wanted - choose.ScoreSlack
	}
	return e.least(look.Text, wanted)
}

// inLevels reduces the picture to few levels and encodes it losslessly, if the levels keep the target of print. A format
// that the URL names is never replaced by another.
func (e *Encoder) inLevels(f variant.Format) (few Encoded, ok bool, err error) {
	s := e.Job.Spec
	if f, ok = e.levelsFormat(f); !ok {
		return few, false, nil
	}
	im, err := e.prepared(f)
	if err != nil {
		return few, false, vips.Internal("codec.inLevels", err)
	}
	wanted := max(choose.Target(e.Wish(f), look.Text), look.LevelsLeast)
	least := e.leastLevels(wanted)
	var reached float64 // by the chosen levels; 0 = not measured
	var keeps func(*vips.Image) (bool, error)
	j, err := e.levelsJudge(im)
	if err != nil {
		return few, false, err
	}
	if j != nil {
		defer j.Close()
		keeps = e.keeper(j, least, &reached)
	}
	pixels, n, err := e.Choices.InLevels(im, wanted, j == nil || !e.unhurried(), keeps)
	if err != nil || pixels == nil {
		return few, false, err
	}
	defer pixels.Free()
	few, err = e.saveLevels(pixels, f, fmt.Sprintf("text in %d levels, target %.0f", n, wanted))
	few.target, few.score, few.foretold, few.levels = wanted, reached, !e.unhurried() && e.measurable(), n
	ok = err == nil && (s.MaxBytes == 0 || len(few.Body) <= s.MaxBytes)
	return few, ok, err
}

// keeper measures pictures in few levels while there is time. It is true of one that scores least, whose score it leaves in
// reached.
func (e *Encoder) keeper(j *judge.Judge, least float64, reached *float64) func(*vips.Image) (bool, error) {
	return func(few *vips.Image) (bool, error) {
		if !e.Time.More() {
			return false, nil
		}
		v, err := j.Least(few, least)
		if err != nil || v < least {
			return false, err
		}
		*reached = v
		return true, nil
	}
}

// saveLevels encodes a picture in few levels losslessly, as WebP or PNG.
func (e *Encoder) saveLevels(pixels *vips.Image, f variant.Format, note string) (few Encoded, err error) {
	set := exactly(note)
	if f == variant.PNG {
		if set.Bits, err = look.ColourBits(pixels); err != nil {
			return few, vips.Internal("codec.saveLevels", err)
		}
		set.Lossless, set.Q, set.Effort = false, 100, choose.EffortPalette
	}
	few, err = e.saveAs(pixels, f, set)
	few.Q = 0
	return few, err
}

// choice describes how the quality of an encode was chosen.
func (e *Encoder) choice(b Encoded) variant.Choice {
	c := variant.Choice{Target: b.target, Predicted: b.predicted, Score: b.score, Tried: strings.Join(e.tried, "; ")}
	if v := e.Pic.Seen; v != nil {
		c.Kind, c.Print, c.Probe = string(choose.KindOf(v.Kind, e.Job.Spec.Legible)), v.Print, v.Took
	}
	return c
}

// kindFor is the kind of the picture, by the URL or the probe, for an encode in a format. It is photo if the URL names
// q, so that no probe is needed.
func (e *Encoder) kindFor(f variant.Format) look.Kind {
	if render.ExplicitQuality(f, e.Job.Spec) > 0 {
		return look.Photo
	}
	v := e.Choices.Look(e.Pic)
	if v == nil {
		return choose.KindOf(look.Photo, e.Job.Spec.Legible)
	}
	return choose.KindOf(v.Kind, e.Job.Spec.Legible)
}

// exactly returns the settings of a lossless encode.
func exactly(note string) choose.Settings {
	return choose.Settings{Saving: vips.Saving{Lossless: true, Effort: choose.EffortWebP, AlphaQ: 100}, Note: note}
}

// exactFormat is the lossless format that an open URL's client accepts. ok is false if the URL names its quality.
func exactFormat(s variant.Spec) (f variant.Format, ok bool) {
	switch {
	case s.Accepts&variant.AcceptWebP != 0:
		f = variant.WebP
	case s.Accepts&variant.AcceptPNG != 0:
		f = variant.PNG
	}
	return f, f != variant.Open && render.ExplicitQuality(f, s) == 0
}
