package codec

// #include "levels.h"
import "C"

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/quantize"
)

// levelsFile holds the fitted coefficients of LevelsModel: "cd bench && go run ./quality levels -write" makes them, and
// a change of them raises variant.Recipe.
//
//go:embed levels.json
var levelsFile []byte

// LevelCounts are the numbers of levels that are tried for a picture of print, the fewest bytes first. With more than
// eight a lossy encode of the same picture is smaller; three are too few to foresee what will be lost.
func LevelCounts() []int { return []int{4, 5, 6, 8} }

// LevelsModel predicts the score of a picture of print in few levels from what it has become; linear in LevelsFeatures.
type LevelsModel struct {
	Note    string    `json:"note"` // what it was fitted on
	Base    float64   `json:"base"`
	Weights []float64 `json:"weights"`
}

// LevelsFlat is the share of pixels like their neighbour from which few levels are tried; levelsLeast the least target:
// below it, what is misjudged loses its faint grounds, for few bytes.
const (
	LevelsFlat  = 0.6
	levelsLeast = 70
)

// What the model was fitted on: pictures whose colours stay, in pooled error of a chroma plane, and which have no
// shades, see gc_shades. Pages of print come to 0.04 as a rule, and photos pasted into such pages to 0.05 to 1, however
// small.
const (
	levelsColour = 2.0
	levelsShades = 0.05
)

// levelsFeatureCount is the number of values that the model reads.
const levelsFeatureCount = 13

// LevelsFeatures are what Raster.Levels tells of a picture in few levels, on scales that a linear model can use.
func LevelsFeatures(t Traits) [levelsFeatureCount]float64 {
	l := func(v, atLeast float64) float64 { return math.Log(v + atLeast) }
	return [levelsFeatureCount]float64{
		l(t.Luma, 0.1), l(t.Luma4, 0.1), l(t.Loss, 0.001), l(t.Loss4, 0.003), l(t.Half, 0.0003), l(t.Half4, 0.001), l(t.Blue4, 0.1), l(t.Red4, 0.1),
		l(t.Soft, 0.003), l(t.Ring, 0.003), t.Equal, t.Plain, t.Flat,
	}
}

func readLevels(file []byte) (*LevelsModel, error) {
	var m LevelsModel
	if err := json.Unmarshal(file, &m); err != nil {
		return nil, fmt.Errorf("codec: levels.json: %w", err)
	}
	if len(m.Weights) != levelsFeatureCount {
		return nil, fmt.Errorf("codec: levels.json: %d coefficients, want %d", len(m.Weights), levelsFeatureCount)
	}
	return &m, nil
}

// Score is the SSIMULACRA2 that a picture is expected to have kept, of its worst part.
func (m *LevelsModel) Score(t Traits) float64 {
	s := m.Base
	for i, v := range LevelsFeatures(t) {
		s += m.Weights[i] * v
	}
	return s
}

// histogram counts the samples of all bands.
func (im *pixmap) histogram() (count [256]float64, err error) {
	var c [256]C.uint64_t
	if C.gc_histogram(im.p, &c[0]) != 0 {
		return count, vipsError()
	}
	for i, v := range c {
		count[i] = float64(v)
	}
	return count, nil
}

// mapTo replaces every sample by the table's.
func (im *pixmap) mapTo(table [256]byte) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_map(in, out, (*C.uint8_t)(&table[0])) })
}

// shades is the largest share of pixels of a tile that are no edges and have changed in few.
func (im *pixmap) shades(few *pixmap) (float64, error) {
	var share C.double
	if C.gc_shades(im.p, few.p, &share) != 0 {
		return 0, vipsError()
	}
	return float64(share), nil
}

// bits are those of a pixel that tell the picture's colours apart: 1, 2, 4 or 8.
func (im *pixmap) bits() (int, error) {
	switch n := C.gc_colours(im.p); {
	case n < 0:
		return 0, vipsError()
	case n <= 2:
		return 1, nil
	case n <= 4:
		return 2, nil
	case n <= 16:
		return 4, nil
	}
	return 8, nil
}

// inLevels is a picture in so many levels, what it has become, and whether the model may be asked about it.
func (im *pixmap) inLevels(table [256]byte) (few *pixmap, t Traits, suits bool, err error) {
	few = im.clone()
	shades := 0.0
	if err = few.mapTo(table); err == nil {
		t, err = im.against(few)
	}
	if err == nil {
		shades, err = im.shades(few)
	}
	if err != nil {
		few.free()
		return nil, t, false, err
	}
	return few, t, t.Blue4 <= levelsColour && t.Red4 <= levelsColour && shades <= levelsShades, nil
}

// fewerLevels are tried where the score is measured.
var fewerLevels = []int{2, 3}

func (a *automatic) inLevels(im *pixmap, target float64, measure func(few *pixmap) (float64, error)) (few *pixmap, n int, err error) {
	counts := LevelCounts()
	if measure != nil {
		counts = append(fewerLevels[:len(fewerLevels):len(fewerLevels)], counts...)
	}
	count, err := im.histogram()
	if err != nil {
		return nil, 0, internal("codec.inLevels", err)
	}
	tables := quantize.Tables(&count, counts[len(counts)-1])
	for _, n := range counts {
		few, t, suits, err := im.inLevels(tables[n])
		if err != nil {
			return nil, 0, internal("codec.inLevels", err)
		}
		keeps := suits && measure == nil && a.levels.Score(t) >= target
		if suits && measure != nil {
			var reached float64
			if reached, err = measure(few); err != nil {
				few.free()
				return nil, 0, err
			}
			keeps = reached >= target-scoreSlack
		}
		if keeps {
			return few, n, nil
		}
		few.free()
	}
	return nil, 0, nil
}

// Levels is the picture in so many levels with what it has become; suits tells whether LevelsModel may be asked about
// it.
func (r *Raster) Levels(n int) (few *Raster, t Traits, suits bool, err error) {
	count, err := r.im.histogram()
	if err != nil {
		return nil, t, false, fmt.Errorf("codec.Levels: %w", err)
	}
	im, t, suits, err := r.im.inLevels(quantize.Tables(&count, n)[n])
	if err != nil {
		return nil, t, false, fmt.Errorf("codec.Levels: %w", err)
	}
	return &Raster{im: im}, t, suits, nil
}
