package encode

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/variant"
)

// The q of a first answer is predicted. Photos whose predicted q is far too low have fine, faint grain that the fast
// encoder of AVIF erases, and need few bytes. So the lightest sixth of them is scored, and encoded again if it falls
// short. Scoring all of them would cost a fifth of the time of first-stage variants. Print is scored in each format, and
// drawings in AVIF: they miss more, and their encoder takes longer.
const (
	sureBits  = 0.2 // per pixel, at a target of 70; proportional to the square of the target
	sureShort = 3   // points below the target
	sureMore  = 1   // points that the second encode aims above the target
	sureMost  = 14  // the largest increase of q
)

// sure encodes a first answer again if it falls short of its target.
func (e *Encoder) sure(first Encoded, s choose.Settings) (Encoded, error) {
	f, kind := first.Format, e.kindFor(first.Format)
	t := s.Target / 70
	if heavy := float64(8*len(first.Body)) >= sureBits*t*t*float64(e.Pic.Size.Area()); kind == look.Photo && heavy || !e.Time.More() {
		return first, nil
	}
	j, err := e.judge(f)
	if j == nil || err != nil {
		return first, err
	}
	defer j.Close()
	worst, err := j.Worst(first.Body)
	if err != nil || worst >= e.least(kind, s.Target) {
		return first, err
	}
	e.tried[len(e.tried)-1] += fmt.Sprintf(" score %.1f", worst)
	q, level := min(s.Q+min(int(math.Ceil((s.Target+sureMore-worst)/e.slope(f, s))), sureMost), 100), levels(f)
	for q < 100 && level(q) == level(s.Q) {
		q++
	}
	s.Q = q
	return e.save(f, s)
}

// least is the score that a first answer must have. Print never falls below its floor.
func (e *Encoder) least(kind look.Kind, target float64) float64 {
	least := target - sureShort
	if kind.Legible() {
		least = max(least, min(target, e.Job.Lim.Quality.OrDefault().TextFloor)-choose.ScoreSlack)
	}
	return least
}

// unsure reports whether an encode is a first answer whose predicted q may be wrong by much.
func (e *Encoder) unsure(f variant.Format, s choose.Settings) bool {
	if s.Predicted == 0 || e.unhurried() || !e.measurable() {
		return false
	}
	kind := e.kindFor(f)
	return kind.Legible() || f == variant.AVIF && (kind == look.Graphic || s.Effort == choose.EffortFirst)
}
