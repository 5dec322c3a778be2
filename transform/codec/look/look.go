package look

import (
	"time"
)

// View is what the probe saw of a picture.
type View struct {
	Traits Traits
	Kind   Kind
	Print  float64 // the probability of print
	Took   time.Duration
}

// ProbeTile is the side of the tiles that the probe samples; fewestTiles is the number of tiles of the smallest picture
// that is looked at.
const (
	ProbeTile   = 32
	FewestTiles = 4
)
