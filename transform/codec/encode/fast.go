package encode

import (
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/variant"
)

// The fast encoder takes a quarter of the time of the final one. By the final one a photo scores higher with the same
// q, by almost the same for every photo (standard deviation 0.5). So fast encodes find the q, and one final encode is
// mostly enough.
const (
	fastEncodes = 2
	fastAhead   = 0.7
	fastNear    = 3     // points from the target within which the predicted slope is good enough
	fastRate    = 0.045 // the share by which bytes grow with each point of the score

	soundAim    = 0.45 // above the target: what falls short costs an encode, which is not so of what is above
	soundExcess = 1.3  // scoreExcess after fast encodes
	hotExcess   = 0.4  // the same for hot ones, whose bytes are worth another encode
)

// sounds reports whether fast encodes come before those of the loop.
func (e *Encoder) sounds(f variant.Format) bool {
	return f == variant.AVIF && e.kindFor(f) == look.Photo
}

// sounded runs the loop after fast encodes. ahead is how much higher the loop's encoder scores with the same q. The
// final encoder keeps grain that the fast one wipes out. Where that takes more bytes for the same score, a fast encode
// is the final one.
func (r run) sounded(l *loop, ahead float64) error {
	fast := *l
	fast.lost = 0
	fast.target, fast.slack, fast.excess, fast.most = l.target+soundAim-ahead, fastNear, fastNear, fastEncodes
	if err := r.tries(&fast, choose.EffortFirst, r.settings.Q); err != nil {
		return err
	}
	l.slope, l.excess = fast.steepness(), soundExcess
	if r.slows(r.format) {
		l.excess = hotExcess
	}
	effort := r.settings.Effort
	if err := r.try(l, effort, min(max(fast.step(fast.target), 1), 100)); err != nil {
		return err
	}
	next := l
	if a, b := fast.tries[len(fast.tries)-1], l.tries[0]; float64(len(b.Body)) > float64(len(a.Body))*math.Exp(fastRate*(b.score-a.score)) {
		fast.target, fast.slack, fast.excess, fast.most = l.target, l.slack, l.excess, fastEncodes+2
		next, effort = &fast, choose.EffortFirst
	}
	if r.Time.More() {
		if err := r.tries(next, effort, next.next()); err != nil {
			return err
		}
	}
	l.tries = append(l.tries, fast.tries...)
	return nil
}
