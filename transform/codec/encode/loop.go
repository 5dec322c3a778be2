package encode

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// The constants of the closed loop, which encodes and measures until the score is near the target.
const (
	scoreExcess = 0.8 // allowed above the target for the first encode, and twice as much for the second
	loopEncodes = 3   // in total

	loopEncodesHot = 4 // Their q is predicted by a model for another speed.

	slopeWeight = 1.5  // in values of q
	lastCare    = 0.15 // added to the aim of the last try, as a share of its distance from the target

	scoreMargin = 2 // how much higher a predicted q aims, see margin in bench/quality
)

// try is an encode with its score.
type try struct {
	Encoded
	q     int
	score float64
}

// measures reports whether an encode is made in the closed loop: it has a target and nobody waits for it.
func (e *Encoder) measures(s choose.Settings) bool {
	return e.unhurried() && s.Target > 0 && s.Predicted > 0 && e.measurable()
}

// loopPixels bounds the pictures that are measured: a judge holds their pixels twice.
const loopPixels = 4 << 20

func (e *Encoder) measurable() bool { return e.Pic.Frames == 1 && e.Pic.Size.Area() <= loopPixels }

// measured encodes with the predicted q, and again with a q corrected by the measured score. It returns the smallest
// encode that reaches the target, or the best one if none does.
func (e *Encoder) measured(f variant.Format, s choose.Settings) (Encoded, error) {
	j, err := e.judge(f)
	if err != nil {
		return Encoded{}, err
	}
	if j == nil {
		return e.save(f, s)
	}
	defer j.Close()
	margin, most := float64(scoreMargin), loopEncodes // With a measured score no safety margin is needed.
	if e.slows(f) {
		s.Effort, margin, most = choose.EffortHot, margin+hotAhead(), loopEncodesHot
	}
	if q := e.Choices.Expect(e.Pic, e.Wish(f), s.Target-margin); q > 0 {
		s.Q = q
	}
	l := loop{target: s.Target, slope: e.slope(f, s), level: levels(f), most: most}
	for q := s.Q; q > 0 && len(l.tries) < most; q = l.next() {
		s.Q = q
		made, err := e.save(f, s)
		if err != nil {
			return Encoded{}, err
		}
		_, score, err := j.Score(made.Body)
		if err != nil {
			return Encoded{}, err
		}
		made.score = score
		e.tried[len(e.tried)-1] += fmt.Sprintf(" score %.1f", score)
		l.tries = append(l.tries, try{made, q, score})
		if !e.Time.More() {
			break
		}
	}
	best := l.best()
	best.Note = fmt.Sprintf("%s, measured %.1f", best.Note, best.score)
	return best.Encoded, nil
}

// judge makes the judge of the picture as input for a format.
func (e *Encoder) judge(f variant.Format) (*judge.Judge, error) {
	im, err := e.prepared(f)
	if err != nil {
		return nil, vips.Internal("codec.judge", err)
	}
	return judge.New(im, e.kindFor(f).Legible())
}

// slope is the predicted rise of the score with q near the target.
func (e *Encoder) slope(f variant.Format, s choose.Settings) float64 {
	const apart = 5
	higher, lower := s.Target+apart, s.Target-apart
	up, down := e.Choices.Expect(e.Pic, e.Wish(f), higher), e.Choices.Expect(e.Pic, e.Wish(f), lower)
	if up <= down {
		return 1
	}
	return min(max(2*apart/float64(up-down), 0.3), 3)
}

// levels numbers the values of q that give different files: libheif maps the hundred values to the 64 quantizers of
// AV1, so some of them give the same file.
func levels(f variant.Format) func(q int) int {
	return func(q int) int {
		if f != variant.AVIF {
			return q
		}
		level := 0
		for i := 2; i <= q; i++ {
			if !sameAsBefore(i, vips.TunesIQ()) {
				level++
			}
		}
		return level
	}
}

// sameAsBefore reports whether q makes the same AVIF as q-1. If libheif tunes by iq, it uses another mapping.
func sameAsBefore(q int, iq bool) bool {
	switch {
	case !iq:
		return ((100-q)*63+50)/100 == ((101-q)*63+50)/100
	case q >= 53:
		return q%4 == 1
	case q >= 34:
		return q%5 == 1 || q%5 == 3
	}
	return q == 2 || q == 4 || q >= 5 && q%2 == 1
}

// loop chooses the next q by the scores of earlier tries.
type loop struct {
	target, slope float64
	level         func(q int) int
	most          int // encodes
	tries         []try
}

// reached reports whether a try is good enough.
func (l *loop) reached(t try) bool { return t.score >= l.target-choose.ScoreSlack }

// next is the q of another try; 0 if none is worth it.
func (l *loop) next() int {
	last := l.tries[len(l.tries)-1]
	if l.reached(last) && last.score <= l.target+scoreExcess*float64(len(l.tries)) {
		return 0
	}
	slope := l.slope
	if n := len(l.tries); n > 1 {
		// Over a few q a slope is noise: the predicted slope counts as if it had been measured over slopeWeight values
		// of q.
		a, apart := l.tries[n-2], float64(last.q-l.tries[n-2].q)
		rise := last.score - a.score
		slope = (rise*apart/math.Abs(apart) + slopeWeight*l.slope) / (math.Abs(apart) + slopeWeight)
		slope = max(slope, l.slope/4)
	}
	// The last try must not fall short, so it aims a little higher, the more the farther it goes.
	aim := l.target
	if len(l.tries) == l.most-1 {
		aim += choose.ScoreSlack/2 + lastCare*math.Abs(aim-last.score)
	}
	q := last.q + int(math.Round((aim-last.score)/slope))
	below, above := 0, 101 // the highest q known to fall short, and the lowest that reaches the target
	for _, t := range l.tries {
		if l.reached(t) {
			above = min(above, t.q)
		} else {
			below = max(below, t.q)
		}
	}
	q = min(max(q, below+1), above-1, 100)
	if below > 0 && l.level(q) == l.level(below) {
		q++
	}
	if above <= 100 && l.level(q) == l.level(above) {
		q--
	}
	if q <= below || q >= above || below > 0 && l.level(q) == l.level(below) {
		return 0
	}
	return q
}

// best is the smallest try that reaches the target, else the one with the highest score.
func (l *loop) best() try {
	best := l.tries[0]
	for _, t := range l.tries[1:] {
		switch {
		case l.reached(t) != l.reached(best):
			if l.reached(t) {
				best = t
			}
		case l.reached(t):
			if len(t.Body) < len(best.Body) {
				best = t
			}
		case t.score > best.score:
			best = t
		}
	}
	return best
}
