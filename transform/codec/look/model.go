package look

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"sort"
)

// modelFile holds the fitted coefficients. "cd bench && go run ./quality fit -write" writes them, and a change of them
// needs a new variant.Recipe.
//
//go:embed model.json
var modelFile []byte

// Model predicts the kind of a picture from its traits, and the q with which an encoder reaches a target score. It is
// linear in the features, which are taken as distances from Mean in units of Spread.
type Model struct {
	Note   string          `json:"note"` // the data it was fitted on
	Mean   []float64       `json:"mean"`
	Spread []float64       `json:"spread"`
	Kinds  []KindModel     `json:"kinds"`
	Sets   map[string]*Set `json:"sets"` // by encoder libraries, see SetFor
}

// KindModel is the score of one kind of picture. exp(score), divided by the sum over all kinds, is its probability.
type KindModel struct {
	Kind    string    `json:"kind"` // photo, text or graphic
	Base    float64   `json:"base"`
	Weights []float64 `json:"weights"`
}

// Set holds the predictors for one set of encoder libraries.
type Set struct {
	Predictors []Predictor `json:"predictors"`
}

// Predictor predicts the q of one coder for one group of pictures and one target of SSIMULACRA2, between Low and High.
type Predictor struct {
	Coder   string    `json:"coder"` // avif9, avif8, webp4, jpeg, jxl3, jxl5; with a final c for full chroma
	Kind    string    `json:"kind"`  // photo or drawn
	Target  float64   `json:"target"`
	Base    float64   `json:"base"`
	Low     float64   `json:"low"`
	High    float64   `json:"high"`
	Weights []float64 `json:"weights"`
}

// The groups of pictures that have separate predictors.
const (
	GroupPhoto = "photo"
	GroupDrawn = "drawn"
)

// readModel reads coefficients and refuses those that do not match the features.
func readModel(file []byte) (*Model, error) {
	var m Model
	if err := json.Unmarshal(file, &m); err != nil {
		return nil, fmt.Errorf("codec: model.json: %w", err)
	}
	lists := [][]float64{m.Mean, m.Spread}
	for _, k := range m.Kinds {
		lists = append(lists, k.Weights)
	}
	for name, s := range m.Sets {
		if s == nil || len(s.Predictors) == 0 {
			return nil, fmt.Errorf("codec: model.json: the set %q is empty", name)
		}
		for _, p := range s.Predictors {
			lists = append(lists, p.Weights)
		}
		sort.SliceStable(s.Predictors, func(i, j int) bool { return s.Predictors[i].Target < s.Predictors[j].Target })
	}
	for _, l := range lists {
		if len(l) != featureCount {
			return nil, fmt.Errorf("codec: model.json: a list of %d coefficients, want %d", len(l), featureCount)
		}
	}
	for _, set := range []string{OlderSet, TrixieSet, RecentSet} {
		if len(m.Kinds) == 0 || m.Sets[set] == nil {
			return nil, fmt.Errorf("codec: model.json: kinds and the set %s are needed", set)
		}
	}
	return &m, nil
}

// The sets of encoder libraries.
const (
	RecentSet = "3.14" // and later, tuned by iq
	TrixieSet = "3.12" // Debian 13, tuned by iq
	OlderSet  = "3.6"  // Debian 12, tuned by ssim
)

// scaled returns the features in the model's units. Values far outside the data that the model was fitted on are
// clamped.
func (m *Model) scaled(t Traits) [featureCount]float64 {
	x := t.Features()
	for i := range x {
		x[i] = math.Max(-4, math.Min(4, (x[i]-m.Mean[i])/m.Spread[i]))
	}
	return x
}

func line(base float64, weights []float64, x [featureCount]float64) float64 {
	for i, w := range weights {
		base += w * x[i]
	}
	return base
}

// scores returns the score of each kind.
func (m *Model) scores(t Traits) map[string]float64 {
	x := m.scaled(t)
	out := map[string]float64{}
	for _, k := range m.Kinds {
		out[k.Kind] = line(k.Base, k.Weights, x)
	}
	return out
}

// PhotoRatherThanGraphic is the probability of a photo, given that the picture is a photo or a graphic.
func (m *Model) PhotoRatherThanGraphic(t Traits) float64 {
	s := m.scores(t)
	return 1 / (1 + math.Exp(s[string(Graphic)]-s[string(Photo)]))
}

// Shares returns the probabilities of the kinds, which sum to 1.
func (m *Model) Shares(t Traits) map[string]float64 {
	out, sum := m.scores(t), 0.0
	for k, score := range out {
		out[k] = math.Exp(score)
		sum += out[k]
	}
	for k := range out {
		out[k] /= sum
	}
	return out
}

// The features of what the trial loses of colours. Grey photos lose none, three spreads below the mean, where the linear
// weights gave a q that is too low. Of 0, -1, -1.5 and -2, -1.5 kept 16 photos made grey nearest to their target with
// libaom 3.12. The coloured photos that were looked at are above it.
const (
	lostColour      = 7 // the first of four
	leastLostColour = -1.5
)

// within returns the scaled features, within what the fit of a group saw.
func (m *Model) within(group string, t Traits) [featureCount]float64 {
	x := m.scaled(t)
	if group == GroupPhoto {
		for i := lostColour; i < lostColour+4; i++ {
			x[i] = math.Max(x[i], leastLostColour)
		}
	}
	return x
}

// Q interpolates the q for a target between fitted ones; ok is false if the coder has no predictor.
func (s *Set) Q(m *Model, coder, group string, target float64, t Traits) (q int, ok bool) {
	var below, above *Predictor
	for i := range s.Predictors {
		p := &s.Predictors[i]
		if p.Coder != coder || p.Kind != group {
			continue
		}
		if p.Target <= target || below == nil {
			below = p
		}
		if above == nil && p.Target >= target {
			above = p
		}
	}
	if below == nil {
		return 0, false
	}
	x := m.within(group, t)
	v := below.q(x)
	if above != nil && above.Target > below.Target {
		share := math.Max(0, (target-below.Target)/(above.Target-below.Target))
		v += share * (above.q(x) - v)
	}
	return int(math.Round(v)), true
}

func (p *Predictor) q(x [featureCount]float64) float64 {
	return math.Max(p.Low, math.Min(p.High, line(p.Base, p.Weights, x)))
}
