package look

import (
	"time"
)

// View is the result of probing a picture.
type View struct {
	Traits  Traits
	Kind    Kind
	Print   float64 // the probability of print
	Letters Letters
	Took    time.Duration
}

// ProbeTile is the side of the tiles that the probe samples. FewestTiles is the number of tiles of the smallest picture
// that is probed.
const (
	ProbeTile   = 32
	FewestTiles = 4
)
