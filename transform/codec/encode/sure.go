package encode

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/variant"
)

// The q of a first-stage AVIF is predicted. Photos whose predicted q is far too low have fine, faint grain that the
// fast encoder erases, and need few bytes. So the lightest sixth of photos is scored, and encoded again if it falls
// short. Scoring all of them would cost a fifth of the time of first-stage variants.
const (
	sureBits  = 0.2 // per pixel, at a target of 70; proportional to the square of the target
	sureShort = 3   // points below the target
	sureMost  = 14  // the largest increase of q
)

// sure encodes a first-stage AVIF again if it is light and falls short of its target.
func (e *Encoder) sure(first Encoded, s choose.Settings) (Encoded, error) {
	t := s.Target / 70
	if float64(8*len(first.Body)) >= sureBits*t*t*float64(e.Pic.Size.Area()) || !e.Time.More() {
		return first, nil
	}
	j, err := e.judge(first.Format)
	if j == nil || err != nil {
		return first, err
	}
	defer j.Close()
	all, _, err := j.Score(first.Body)
	if err != nil || all >= s.Target-sureShort {
		return first, err
	}
	e.tried[len(e.tried)-1] += fmt.Sprintf(" score %.1f", all)
	s.Q = min(s.Q+min(int(math.Ceil((s.Target-all)/e.slope(first.Format, s))), sureMost), 100)
	return e.save(first.Format, s)
}

// unsure reports whether an encode is a first-stage AVIF of a photo with a q predicted for the fast encoder.
func (e *Encoder) unsure(f variant.Format, s choose.Settings) bool {
	return f == variant.AVIF && s.Effort == choose.EffortFirst && s.Predicted > 0 && !e.unhurried() && e.measurable()
}
