package look

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// levelsFile holds the fitted coefficients of LevelsModel. "cd bench && go run ./quality levels -write" writes them,
// and a change of them needs a new variant.Recipe.
//
//go:embed levels.json
var levelsFile []byte

// LevelCounts returns the numbers of grey levels to try for a picture of print, fewest bytes first. With more than
// eight, a lossy encode of the same picture is smaller. With three, the loss cannot be predicted.
func LevelCounts() []int { return []int{4, 5, 6, 8} }

// LevelsModel predicts the score of a picture of print after it is reduced to few levels. It is linear in
// LevelsFeatures.
type LevelsModel struct {
	Note    string    `json:"note"` // the data it was fitted on
	Base    float64   `json:"base"`
	Weights []float64 `json:"weights"`
}

// LevelsFlat is the share of pixels equal to their neighbour from which few levels are tried. LevelsLeast is the lowest
// target: below it, misjudged pictures lose their faint backgrounds for a saving of few bytes.
const (
	LevelsFlat  = 0.6
	LevelsLeast = 70
)

// The bounds of the data on which the model was fitted: pictures whose colours stay, as pooled error of a chroma plane,
// and which have no shades, see gc_shades. Pages of print usually have 0.04. Photos pasted into such pages have 0.05 to
// 1, however small they are.
const (
	levelsColour = 2.0
	levelsShades = 0.05
)

// levelsFeatureCount is the number of features of the model.
const levelsFeatureCount = 13

// LevelsFeatures returns the traits of a picture in few levels, on scales that suit a linear model.
func LevelsFeatures(t Traits) [levelsFeatureCount]float64 {
	l := func(v, atLeast float64) float64 { return math.Log(v + atLeast) }
	return [levelsFeatureCount]float64{
		l(t.Luma, 0.1), l(t.Luma4, 0.1), l(t.Loss, 0.001), l(t.Loss4, 0.003), l(t.Half, 0.0003), l(t.Half4, 0.001), l(t.Blue4, 0.1), l(t.Red4, 0.1),
		l(t.Soft, 0.003), l(t.Ring, 0.003), t.Equal, t.Plain, t.Flat,
	}
}

// Models returns the built-in models.
func Models() (*Model, *LevelsModel, error) {
	m, err := readModel(modelFile)
	if err != nil {
		return nil, nil, err
	}
	l, err := readLevels(levelsFile)
	return m, l, err
}

// readLevels reads coefficients and refuses a wrong number of them.
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

// Score is the predicted SSIMULACRA2 of the picture's worst part.
func (m *LevelsModel) Score(t Traits) float64 {
	s := m.Base
	for i, v := range LevelsFeatures(t) {
		s += m.Weights[i] * v
	}
	return s
}

// Histogram counts the samples of an 8-bit picture in memory, over all bands.
func Histogram(im *vips.Image) (count [256]float64, err error) {
	samples, err := im.View()
	var parts [4][256]int // Equal samples follow each other: a processor waits where it adds to one count at once.
	for i, v := range samples {
		parts[i%4][v]++
	}
	for v := range count {
		count[v] = float64(parts[0][v] + parts[1][v] + parts[2][v] + parts[3][v])
	}
	return count, err
}

// Edges counts the pixels of an 8-bit picture that equal neither the one to their left nor the one above, so that a
// lossless encoder can copy neither. Those of the first line and column do not count.
func Edges(im *vips.Image) (n int, err error) {
	samples, err := im.View()
	f := im.Facts()
	line := f.Width * f.Bands
	for above := 0; above+2*line <= len(samples); above += line {
		for i := above + line + f.Bands; i < above+2*line; i += f.Bands {
			p := samples[i : i+f.Bands]
			if !bytes.Equal(p, samples[i-f.Bands:i]) && !bytes.Equal(p, samples[i-line:i-line+f.Bands]) {
				n++
			}
		}
	}
	return n, err
}

// Colours counts the picture's colours, up to one more than most.
func Colours(im *vips.Image, most int) (int, error) {
	samples, err := im.View()
	if err != nil {
		return 0, err
	}
	bands := im.Facts().Bands
	seen := map[[4]byte]bool{}
	var last [4]byte
	for i := 0; i+bands <= len(samples) && len(seen) <= most; i += bands {
		var c [4]byte
		copy(c[:], samples[i:i+bands])
		if c != last || i == 0 {
			seen[c] = true
		}
		last = c
	}
	return len(seen), nil
}

// ColourBits is the number of bits per pixel that suffice for the picture's colours: 1, 2, 4 or 8.
func ColourBits(im *vips.Image) (int, error) {
	n, err := Colours(im, 16)
	switch {
	case n <= 2:
		return 1, err
	case n <= 4:
		return 2, err
	case n <= 16:
		return 4, err
	}
	return 8, err
}

// Reduce maps a picture to few levels by table, and measures the result. suits reports whether the model applies to it.
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

// KeepsShades reports whether a picture with fewer colours keeps the shades of im: faces, shaded boxes and faint
// backgrounds. What is transparent counts as grey.
func KeepsShades(im, few *vips.Image) (bool, error) {
	var solid [2]*vips.Image
	for i, p := range []*vips.Image{im, few} {
		solid[i] = p.Clone()
		defer solid[i].Free()
		if p.Facts().Bands < 4 {
			continue
		}
		if err := solid[i].Flatten([]float64{128, 128, 128}); err != nil {
			return false, err
		}
		if err := solid[i].Memory(); err != nil {
			return false, err
		}
	}
	share, err := shadesLost(solid[0], solid[1])
	return share <= levelsShades, err
}
