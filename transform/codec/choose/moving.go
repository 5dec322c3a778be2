package choose

import "github.com/goldcrest/goldcrest/variant"

// The q of animated AVIFs, in the order of variant.Class. The careful encoder scores 79 or more for 70 at any q: with a
// lower one it saves next to nothing. The fast one needs a higher q for what has alpha, which is mostly drawn.
var (
	movingFast    = tiers{42, 60, 22}
	movingCareful = tiers{20, 40, 12}
)

const movingAlpha = 8

// moving is s with the q of an animated AVIF.
func moving(s Settings, w Wish, alpha bool) Settings {
	q, more := movingCareful, 0
	if w.Effort == EffortFirst {
		q = movingFast
		if alpha {
			more = movingAlpha
		}
	}
	s.Q, s.Floor, s.FullChroma = q[w.Spec.Class]+more, q[variant.ClassSaver]+more, false
	return s
}
