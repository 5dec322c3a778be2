package encode

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// The constants of the closed loop, which encodes and measures until the score is near the target.
const (
	scoreExcess = 0.8 // allowed above the target for the first encode, and twice as much for the second
	scoreFar    = 2   // above the target: then one encode more than loopEncodes is made
	loopEncodes = 3

	loopEncodesHot = 4 // Their q is predicted by a model for another speed.
	lostEncodes    = 2 // more of them while none reaches the target

	// Print and drawings rise by up to 2 points from one value of q to the next, and take longer to score. A point less
	// takes 3 % fewer bytes, which a final variant earns back after some ten views: then it is hot.
	drawnExcess = 1.2

	slopeWeight = 1.5  // in values of q
	lastCare    = 0.15 // added to the aim of the last try, as a share of its distance from the target
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
	l, margin, ahead := e.loop(f, s), overshoot(f, e.kindFor(f)), float64(fastAhead)
	if e.slows(f) {
		s.Effort = choose.EffortHot
		margin, ahead = margin+hotAhead(), ahead+hotAhead()
	}
	if q := e.Choices.Expect(e.Pic, e.Wish(f), s.Target-margin); q > 0 {
		s.Q = q
	}
	r := run{Encoder: e, judge: j, format: f, settings: s}
	if !r.halved() {
		l.lost = lostEncodes
	}
	if e.sounds(f) {
		err = r.sounded(&l, ahead)
	} else {
		err = r.tries(&l, s.Effort, s.Q)
	}
	if err == nil && !l.reached(l.best()) && r.halved() && e.Time.More() {
		err = r.inFullChroma(&l)
	}
	if err != nil {
		return Encoded{}, err
	}
	best := l.best()
	best.Note = fmt.Sprintf("%s, measured %.1f", best.Note, best.score)
	return best.Encoded, nil
}

// loop is the loop for a format, before its first try.
func (e *Encoder) loop(f variant.Format, s choose.Settings) loop {
	l := loop{target: s.Target, slack: choose.ScoreSlack, excess: scoreExcess, slope: e.slope(f, s), least: leastQ(f)}
	l.level, l.most = levels(f), loopEncodes
	switch {
	case e.slows(f):
		l.most = loopEncodesHot
	case e.kindFor(f) != look.Photo:
		l.excess = drawnExcess
	}
	return l
}

// overshoot is how much higher than its target the q that is predicted for a kind scores: the fit aims higher, see margin
// in bench/quality, and is not equally good everywhere. By these values 27 pages and 14 drawings took the fewest
// encodes. Wrong ones cost encodes, not quality.
func overshoot(f variant.Format, kind look.Kind) float64 {
	switch {
	case f == variant.WebP && kind.Legible():
		return 8
	case f == variant.JPEG && kind.Legible():
		return 6
	case f == variant.AVIF && kind == look.Mixed:
		return 4
	case f == variant.AVIF && kind == look.Graphic:
		return -2
	}
	return 2
}

// run is a loop's picture and encoder.
type run struct {
	*Encoder
	judge    *judge.Judge
	format   variant.Format
	settings choose.Settings
	film     *judge.Film // of an animation, in place of judge
}

// score is the lowest score of an encode's parts.
func (r run) score(body []byte) (worst float64, err error) {
	if r.film != nil {
		_, worst, err = r.film.Score(body)
	} else {
		worst, err = r.judge.Worst(body)
	}
	return worst, err
}

// tries encodes and scores until the loop has enough.
func (r run) tries(l *loop, effort, q int) error {
	for more := true; q > 0 && more; q = l.next() {
		if err := r.try(l, effort, q); err != nil {
			return err
		}
		more = r.Time.More()
	}
	return nil
}

func (r run) try(l *loop, effort, q int) error {
	s := r.settings
	s.Q, s.Effort = q, effort
	made, err := r.save(r.format, s)
	if err != nil {
		return err
	}
	if made.score, err = r.score(made.Body); err != nil {
		return err
	}
	r.tried[len(r.tried)-1] += fmt.Sprintf(" score %.1f", made.score)
	if r.format == variant.AVIF && effort == choose.EffortFirst {
		r.tried[len(r.tried)-1] += ", fast"
	}
	l.tries = append(l.tries, try{made, q, made.score})
	return nil
}

// halved reports whether print is encoded with halved chroma. Coloured letters may then miss the target at any q.
func (r run) halved() bool { return r.kindFor(r.format).Legible() && !r.settings.FullChroma }

// inFullChroma adds the tries of another loop, whose encodes keep the resolution of chroma.
func (r run) inFullChroma(l *loop) error {
	full := *l
	full.tries, full.lost = nil, lostEncodes
	r.settings.FullChroma = true
	err := r.tries(&full, r.settings.Effort, r.settings.Q)
	l.tries = append(l.tries, full.tries...)
	return err
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

// leastQ is the lowest q of a format.
func leastQ(f variant.Format) int {
	if f == variant.JPEG {
		return choose.LeastJPEG
	}
	return 1
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
	target        float64
	slack, excess float64 // allowed below and above the target
	slope         float64 // as predicted
	level         func(q int) int
	least         int // q
	most, lost    int // encodes, and more of them while none reaches the target
	tries         []try
}

// reached reports whether a try is good enough.
func (l *loop) reached(t try) bool { return t.score >= l.target-l.slack }

// step is the q that the last try and the slope lead to.
func (l *loop) step(aim float64) int {
	last := l.tries[len(l.tries)-1]
	return last.q + int(math.Round((aim-last.score)/l.steepness()))
}

// steepness is the slope by the last two tries. Over a few q a slope is noise: the predicted slope counts as if it had
// been measured over slopeWeight values of q.
func (l *loop) steepness() float64 {
	n := len(l.tries)
	if n < 2 {
		return l.slope
	}
	a, last := l.tries[n-2], l.tries[n-1]
	rise, apart := last.score-a.score, float64(last.q-a.q)
	slope := (rise*apart/math.Abs(apart) + slopeWeight*l.slope) / (math.Abs(apart) + slopeWeight)
	return max(slope, l.slope/4)
}

// enough reports whether another try is not worth its time.
func (l *loop) enough() bool {
	n, last := len(l.tries), l.tries[len(l.tries)-1]
	if !l.reached(l.best()) {
		return n >= l.most+l.lost
	}
	return l.reached(last) && last.score <= l.target+l.excess*float64(n) ||
		n > l.most || n == l.most && l.best().score <= l.target+scoreFar
}

// bracket is the highest q known to fall short or not allowed, and the lowest known to reach the target.
func (l *loop) bracket() (below, above int) {
	below, above = l.least-1, 101
	for _, t := range l.tries {
		if l.reached(t) {
			above = min(above, t.q)
		} else {
			below = max(below, t.q)
		}
	}
	return below, above
}

// next is the q of another try; 0 if none is worth it.
func (l *loop) next() int {
	if l.enough() {
		return 0
	}
	// The last try must not fall short, so it aims a little higher, the more the farther it goes.
	n, aim := len(l.tries), l.target
	if n >= l.most-1 && l.slack == choose.ScoreSlack {
		aim += l.slack/2 + lastCare*math.Abs(aim-l.tries[n-1].score)
	}
	q := l.step(aim)
	below, above := l.bracket()
	if n == l.most && below >= max(l.least, 1) && above <= 100 { // The score jumps between them.
		q = (below + above) / 2
	}
	q = min(max(q, below+1), above-1, 100)
	if l.same(q, below) {
		q++
	}
	if l.same(q, above) {
		q--
	}
	if q <= below || q >= above || l.same(q, below) {
		return 0
	}
	return q
}

// same reports whether q gives the same file as a bound of bracket that was tried.
func (l *loop) same(q, bound int) bool {
	return bound > 0 && bound <= 100 && l.level(q) == l.level(bound)
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
