package encode

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/variant"
)

// A first AVIF is foretold. The photos whose q is foretold far too low have fine, faint grain that the fast encoder
// wipes out, and come to few bytes: so the lightest sixth of photos is scored, and encoded once more where it falls
// short. To score each of them would cost a fifth of what first answers cost.
const (
	sureBits  = 0.2 // a pixel, at a target of 70; it falls with the square of the target
	sureShort = 3   // points below the target
	sureMost  = 14  // by which q is raised
)

// sure is a first AVIF, made once more where it is light and falls short of its target.
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

// unsure reports whether an encode is a first AVIF of a photo, as its q was foretold for the fast encoder.
func (e *Encoder) unsure(f variant.Format, s choose.Settings) bool {
	return f == variant.AVIF && s.Effort == choose.EffortFirst && s.Predicted > 0 && !e.unhurried() && e.measurable()
}
