package look

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
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
	LevelsLeast = 70
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

// Models are those that the product comes with.
func Models() (*Model, *LevelsModel, error) {
	m, err := readModel(modelFile)
	if err != nil {
		return nil, nil, err
	}
	l, err := readLevels(levelsFile)
	return m, l, err
}

// readLevels reads coefficients and refuses those that do not fit the features.
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

// Histogram counts the samples of an 8-bit picture in memory, all bands together.
func Histogram(im *vips.Image) (count [256]float64, err error) {
	samples, err := im.View()
	for _, v := range samples {
		count[v]++
	}
	return count, err
}

// ColourBits are those of a pixel that tell the picture's colours apart: 1, 2, 4 or 8.
func ColourBits(im *vips.Image) (int, error) {
	samples, err := im.View()
	if err != nil {
		return 0, err
	}
	bands := im.Facts().Bands
	seen := map[[3]byte]bool{}
	for i := 0; i+bands <= len(samples) && len(seen) <= 16; i += bands {
		var c [3]byte
		if copy(c[:], samples[i:i+bands]); bands < 3 {
			c = [3]byte{c[0]}
		}
		seen[c] = true
	}
	switch n := len(seen); {
	case n <= 2:
		return 1, nil
	case n <= 4:
		return 2, nil
	case n <= 16:
		return 4, nil
	}
	return 8, nil
}

// Reduce is a picture in so many levels, what it has become, and whether the model may be asked about it.
func Reduce(im *vips.Image, table [256]byte) (few *vips.Image, t Traits, suits bool, err error) {
	few = im.Clone()
	share := 0.0
	if err = few.MapTo(table); err == nil {
		t, err = against(im, few)
	}
	if err == nil {
		share, err = shadesLost(im, few)
	}
	if err != nil {
		few.Free()
		return nil, t, false, err
	}
	return few, t, t.Blue4 <= levelsColour && t.Red4 <= levelsColour && share <= levelsShades, nil
}
