package choose

import (
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/quantize"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// fewerLevels are tried only if the score is measured.
var fewerLevels = []int{2, 3}

// InLevels reduces a picture of print, without alpha and in memory, to the fewest levels that keep the target. It
// measures the score with measure, or predicts it if measure is nil. few is nil if no number of levels keeps the
// target.
func (a *Chooser) InLevels(im *vips.Image, target float64, measure func(few *vips.Image) (float64, error)) (few *vips.Image, n int, err error) {
	counts := look.LevelCounts()
	if measure != nil {
		counts = append(fewerLevels[:len(fewerLevels):len(fewerLevels)], counts...)
	}
	count, err := look.Histogram(im)
	if err != nil {
		return nil, 0, vips.Internal("codec.inLevels", err)
	}
	tables := quantize.Tables(&count, counts[len(counts)-1])
	for _, n := range counts {
		few, t, suits, err := look.Reduce(im, tables[n])
		if err != nil {
			return nil, 0, vips.Internal("codec.inLevels", err)
		}
		keeps := suits && measure == nil && a.levels.Score(t) >= target
		if suits && measure != nil {
			var reached float64
			if reached, err = measure(few); err != nil {
				few.Free()
				return nil, 0, err
			}
			keeps = reached >= target-ScoreSlack
		}
		if keeps {
			return few, n, nil
		}
		few.Free()
	}
	return nil, 0, nil
}
