package fit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
)

// margin is how much higher the fit aims than its target, so that misjudged pictures do not fall below the floor: ten
// below the target for photos of the higher classes, five for those of the saver class. Print is harder to predict.
func margin(group string, target float64) float64 {
	switch {
	case group == "photo" && target < 60:
		return 1
	case group != "photo" && target < 65: // Where print is lost first.
		return 5
	}
	return 2
}

const (
	penalty    = 1.0
	leastDrawn = 15   // the lowest q of print and drawings: a misjudged page below it cannot be read
	minWeight  = 0.15 // of a sample: pictures whose score hardly depends on q teach little, but not nothing
)

// sample is one reference with its traits.
type sample struct {
	id, source, kind string
	traits           look.Traits
	x                []float64 // scaled features
}

func (s sample) group() string {
	if s.kind == pictures.Photo {
		return "photo"
	}
	return "drawn"
}

// Fit fits the model to measured rows, prints its results on pictures outside the fit, and may write it.
func Fit(ctx context.Context, o Options) error {
	rows, err := readAll(o.Rows)
	if err != nil {
		return err
	}
	samples, err := probe(ctx, o)
	if err != nil {
		return err
	}
	m := &look.Model{Sets: map[string]*look.Set{}}
	if o.Extend || o.Coders != nil {
		if m, err = shipped(); err != nil {
			return err
		}
	}
	scale(m, samples)
	held := func(s sample) bool { return o.Held(s.source) }
	learn := slices.DeleteFunc(slices.Clone(samples), held)
	if m.Kinds == nil {
		m.Kinds = fitKinds(learn)
	}
	confusion(m, samples, held)
	fitSets(m, rows, learn, o)
	note := fmt.Sprintf("fitted on %d references of %d sources; one source in %d held out", len(learn), countSources(learn), o.HoldOut)
	switch {
	case o.Coders != nil:
		note = fmt.Sprintf("%s; %s: %s", m.Note, strings.Join(o.Coders, ", "), note)
	case o.Extend:
		note = fmt.Sprintf("%s; %s: %s", m.Note, choose.SetFor(rows[0].library), note)
	}
	m.Note = note
	if !o.Write {
		return nil
	}
	b, err := json.MarshalIndent(rounded(m), "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(modelFile, append(Compact(b), '\n'), 0o644)
}

// readAll reads the rows of several files, joined by commas.
func readAll(files string) (rows []row, err error) {
	for _, file := range strings.Split(files, ",") {
		got, err := readRows(file)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	if len(rows) == 0 {
		err = fmt.Errorf("%s: no rows; collect makes them", files)
	}
	return rows, err
}

// fitSets fits the predictors for each library of the rows.
func fitSets(m *look.Model, rows []row, learn []sample, o Options) {
	all := curves(rows)
	fmt.Printf("\n%-5s %-7s %-6s %6s %4s | %-30s | %s\n", "aom", "coder", "kind", "target", "n", "fixed q: sd p10 worst KB",
		"leave one source out: mean sd p10 worst KB")
	for _, library := range libraries(rows) {
		fitted := fitPredictors(all, library, o.Coders, learn)
		if o.Coders != nil {
			replace(m, fitted)
			continue
		}
		set := &look.Set{Predictors: fitted}
		if o.Extend {
			set.Predictors = append(unmeasured(m, all, library), fitted...)
		}
		m.Sets[choose.SetFor(library)] = set
	}
}

// fitPredictors fits the predictors of all coders, or of only some.
func fitPredictors(all map[curveKey]*curve, library string, only []string, learn []sample) (fitted []look.Predictor) {
	for _, c := range coders {
		if only != nil && !slices.Contains(only, c.name) {
			continue
		}
		curveOf := func(s sample) *curve { return all[curveKey{library, s.id, c.name}] }
		for _, group := range []string{"photo", "drawn"} {
			for _, target := range targetsOf(c, group) {
				p := look.Predictor{Coder: c.name, Kind: group, Target: target}
				if p, ok := fitPredictor(library, p, curveOf, learn); ok {
					fitted = append(fitted, p)
				}
			}
		}
	}
	return fitted
}

// replace puts predictors of encoders that are the same with each library into every set.
func replace(m *look.Model, fitted []look.Predictor) {
	for _, set := range m.Sets {
		set.Predictors = slices.DeleteFunc(set.Predictors, func(p look.Predictor) bool {
			return slices.ContainsFunc(fitted, func(f look.Predictor) bool { return f.Coder == p.Coder })
		})
		set.Predictors = append(set.Predictors, fitted...)
	}
}

// modelFile is the codec's file of coefficients.
const modelFile = "../transform/codec/look/model.json"

// shipped is the codec's current model.
func shipped() (*look.Model, error) {
	b, err := os.ReadFile(modelFile)
	if err != nil {
		return nil, err
	}
	var m look.Model
	return &m, json.Unmarshal(b, &m)
}

// unmeasured returns the shipped predictors of the coders without rows: those of the latest libraries, for encoders
// that hardly differ between distributions.
func unmeasured(m *look.Model, all map[curveKey]*curve, library string) (kept []look.Predictor) {
	for _, p := range m.Sets[choose.SetFor("")].Predictors {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(k curveKey) bool { return k.library == library && k.coder == p.Coder }) {
			kept = append(kept, p)
		}
	}
	return kept
}

// targetsOf returns the scores for which a coder is fitted: for photos in AVIF with full chroma, only the high ones.
func targetsOf(c coder, group string) []float64 {
	switch {
	case !c.chroma:
		return []float64{40, 50, 60, 65, 70, 75, 80}
	case group == "photo" && c.low != nil:
		return []float64{70, 75, 80, 85}
	}
	return []float64{40, 50, 60, 65, 70, 75, 80, 85}
}

func libraries(rows []row) []string {
	var out []string
	for _, r := range rows {
		if !slices.Contains(out, r.library) {
			out = append(out, r.library)
		}
	}
	return out
}

func countSources(samples []sample) int {
	seen := map[string]bool{}
	for _, s := range samples {
		seen[s.source] = true
	}
	return len(seen)
}

// probe measures every reference of the folders.
func probe(ctx context.Context, o Options) ([]sample, error) {
	_, found, err := o.Find()
	if err != nil {
		return nil, err
	}
	all := func(pictures.Reference) bool { return true }
	return pictures.Each(ctx, 1, found, all, func(r pictures.Reference) ([]sample, error) {
		im, err := r.Render()
		if err != nil {
			return nil, err
		}
		defer im.Free()
		t, err := im.Traits()
		return []sample{{id: r.ID, source: r.Source, kind: r.Kind, traits: t}}, err
	})
}

// spread returns the features' means and spreads.
func spread(samples []sample) (mean, deviation []float64) {
	n := float64(len(samples))
	for _, s := range samples {
		f := s.traits.Features()
		if mean == nil {
			mean, deviation = make([]float64, len(f)), make([]float64, len(f))
		}
		for j, v := range f {
			mean[j] += v / n
		}
	}
	for _, s := range samples {
		for j, v := range s.traits.Features() {
			deviation[j] += (v - mean[j]) * (v - mean[j]) / n
		}
	}
	for j := range deviation {
		deviation[j] = math.Max(math.Sqrt(deviation[j]), 1e-6)
	}
	return mean, deviation
}

// scale scales the samples by the features' means and spreads: the model's, or, if it has none, their own.
func scale(m *look.Model, samples []sample) {
	if m.Mean == nil {
		m.Mean, m.Spread = spread(samples)
	}
	for i, s := range samples {
		for j, v := range s.traits.Features() {
			samples[i].x = append(samples[i].x, math.Max(-4, math.Min(4, (v-m.Mean[j])/m.Spread[j])))
		}
	}
}

// fitKinds fits the kinds of pictures. A document taken for a photo is worse than the reverse, so it weighs double.
func fitKinds(samples []sample) []look.KindModel {
	kinds := pictures.Kinds()
	var x [][]float64
	var class []int
	var weight []float64
	for _, s := range samples {
		x, class = append(x, s.x), append(class, slices.Index(kinds, s.kind))
		w := 1.0
		if s.kind == pictures.Text {
			w = 2
		}
		weight = append(weight, w)
	}
	bases, weights := classify(x, class, len(kinds), weight)
	out := make([]look.KindModel, len(kinds))
	for i, k := range kinds {
		out[i] = look.KindModel{Kind: k, Base: bases[i], Weights: weights[i]}
	}
	return out
}

// fitPredictor fits the q of one coder for one target, and prints its results on each source that is held out.
func fitPredictor(library string, p look.Predictor, curveOf func(sample) *curve, samples []sample) (look.Predictor, bool) {
	var f fitting
	for _, s := range samples {
		cv := curveOf(s)
		if s.group() != p.Kind || cv == nil {
			continue
		}
		values := cv.score
		if s.kind == pictures.Text {
			values = cv.worst
		}
		q := cv.reach(values, p.Target+margin(p.Kind, p.Target))
		rise := math.Max(cv.rise(values, q), minWeight)
		f.add(s, cv, values, q, rise*rise)
	}
	if len(f.y) < 30 {
		return p, false
	}
	low, high := stats.Percentile(f.y, 3), slices.Max(f.y)
	if p.Kind != "photo" {
		low = math.Max(low, leastDrawn)
	}
	p.Low, p.High = math.Round(low), math.Round(high)
	f.report(library, p)
	p.Base, p.Weights = ridge(f.x, f.y, f.weight, penalty)
	return p, true
}

// rounded keeps four decimals of every coefficient: more add nothing, and people can read these.
func rounded(m *look.Model) *look.Model {
	cut := func(v float64) float64 { return math.Round(v*1e4) / 1e4 }
	list := func(v []float64) {
		for i := range v {
			v[i] = cut(v[i])
		}
	}
	list(m.Mean)
	for i, v := range m.Spread {
		m.Spread[i] = math.Max(cut(v), 1e-4)
	}
	for i := range m.Kinds {
		m.Kinds[i].Base = cut(m.Kinds[i].Base)
		list(m.Kinds[i].Weights)
	}
	for _, s := range m.Sets {
		for i := range s.Predictors {
			s.Predictors[i].Base = cut(s.Predictors[i].Base)
			list(s.Predictors[i].Weights)
		}
	}
	return m
}

var numberLists = regexp.MustCompile(`\[[-0-9.e,\s]+\]`)

// Compact writes each list of numbers in one line, so that a diff of two models is a diff of lines.
func Compact(b []byte) []byte {
	return numberLists.ReplaceAllFunc(b, func(list []byte) []byte {
		return bytes.ReplaceAll(bytes.Join(bytes.Fields(list), nil), []byte(","), []byte(", "))
	})
}
