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
// number of levels keeps the target.
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
	for _, n := range counts {
		few, t, ok, err := look.Reduce(im, tables[n])
		if err != nil {
			return nil, 0, vips.Internal("codec.inLevels", err)
		}
		ok = ok && (!foretell || a.levels.Score(t) >= target)
		if ok && keeps != nil {
			ok, err = keeps(few)
		}
		if ok && err == nil {
			return few, n, nil
		}
		few.Free()
		if err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, nil
}
