package choose

import (
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/quantize"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// fewerLevels are tried only if the score is measured.
var fewerLevels = []int{2, 3}

// InLevels reduces a picture of print, without alpha and in memory, to the fewest levels for which keeps is true. If
// foretell is set, only those are tried that are predicted to keep the target. keeps may be nil then. few is nil if no
// number of levels keeps the target. The last call of keeps that was true was for few.
//
// More levels are taken to score higher. So most pictures, which no number of levels suits, cost one trial.
func (a *Chooser) InLevels(im *vips.Image, target float64, foretell bool, keeps func(few *vips.Image) (bool, error)) (few *vips.Image, n int, err error) {
	counts := look.LevelCounts()
	if !foretell {
		counts = append(fewerLevels[:len(fewerLevels):len(fewerLevels)], counts...)
	}
	count, err := look.Histogram(im)
	if err != nil {
		return nil, 0, vips.Internal("codec.inLevels", err)
	}
	tables := quantize.Tables(&count, counts[len(counts)-1])
	for low, high, at := 0, len(counts), len(counts)-1; low < high; at = (low + high) / 2 {
		next, t, ok, err := look.Reduce(im, tables[counts[at]])
		if err != nil {
			few.Free()
			return nil, 0, vips.Internal("codec.inLevels", err)
		}
		ok = ok && (!foretell || a.levels.Score(t) >= target)
		if ok && keeps != nil {
			ok, err = keeps(next)
		}
		if !ok || err != nil {
			next.Free()
			low = at + 1
		} else {
			few.Free()
			few, n, high = next, counts[at], at
		}
		if err != nil {
			few.Free()
			return nil, 0, err
		}
	}
	return few, n, nil
}
