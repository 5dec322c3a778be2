package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

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
	if s.kind == kindPhoto {
		return "photo"
	}
	return "drawn"
}

// fit fits the model to measured rows, prints its results on pictures outside the fit, and may write it.
func fit(_ context.Context, o options) error {
	var rows []row
	for _, file := range strings.Split(o.rows, ",") {
		got, err := readRows(file)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s: no rows; collect makes them", o.rows)
	}
	samples, err := probe(o)
	if err != nil {
		return err
	}
	m := &look.Model{Sets: map[string]*look.Set{}}
	if o.extend || o.coders != nil {
		if m, err = shipped(); err != nil {
			return err
		}
	}
	scale(m, samples)
	held := func(s sample) bool { return pick(s.source, o.holdOut) == 0 }
	learn := slices.DeleteFunc(slices.Clone(samples), held)
	if m.Kinds == nil {
		m.Kinds = fitKinds(learn)
	}
	confusion(m, samples, held)
	all := curves(rows)
	fmt.Printf("\n%-5s %-7s %-6s %6s %4s | %-30s | %s\n", "aom", "coder", "kind", "target", "n", "fixed q: sd p10 worst KB", "leave one source out: mean sd p10 worst KB")
	for _, library := range libraries(rows) {
		fitted := fitPredictors(all, library, o.coders, learn)
		if o.coders != nil {
			replace(m, fitted)
			continue
		}
		set := &look.Set{Predictors: fitted}
		if o.extend {
			set.Predictors = append(unmeasured(m, all, library), fitted...)
		}
		m.Sets[setOf(library)] = set
	}
	note := fmt.Sprintf("fitted on %d references of %d sources; one source in %d held out", len(learn), countSources(learn), o.holdOut)
	switch {
	case o.coders != nil:
		note = fmt.Sprintf("%s; %s: %s", m.Note, strings.Join(o.coders, ", "), note)
	case o.extend:
		note = fmt.Sprintf("%s; %s: %s", m.Note, setOf(libraries(rows)[0]), note)
	}
	m.Note = note
	if !o.write {
		return nil
	}
	b, err := json.MarshalIndent(rounded(m), "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(modelFile, append(compact(b), '\n'), 0o644)
}

// fitPredictors fits the predictors of all coders, or of only some.
func fitPredictors(all map[curveKey]*curve, library string, only []string, learn []sample) (fitted []look.Predictor) {
	for _, c := range coders {
		if only != nil && !slices.Contains(only, c.name) {
			continue
		}
		for _, group := range []string{"photo", "drawn"} {
			for _, target := range targetsOf(c, group) {
				if p, ok := fitPredictor(all, library, c, group, target, learn); ok {
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

// setOf is the codec's name for the coefficients of a libaom.
func setOf(library string) string {
	return choose.SetFor(library)
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
func probe(o options) ([]sample, error) {
	_, found, err := openAll(o)
	if err != nil {
		return nil, err
	}
	var out []sample
	for _, p := range found {
		refs, err := references(p)
		if err != nil {
			return nil, err
		}
		for _, r := range refs {
			im, err := r.render()
			if err != nil {
				return nil, err
			}
			t, err := im.Traits()
			im.Free()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.id, err)
			}
			out = append(out, sample{id: r.id, source: r.source, kind: r.kind, traits: t})
		}
	}
	return out, nil
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

var kinds = []string{kindPhoto, kindText, kindGraphic}

// fitKinds fits the kinds of pictures. A document taken for a photo is worse than the reverse, so it weighs double.
func fitKinds(samples []sample) []look.KindModel {
	var x [][]float64
	var class []int
	var weight []float64
	for _, s := range samples {
		x, class = append(x, s.x), append(class, slices.Index(kinds, s.kind))
		w := 1.0
		if s.kind == kindText {
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

// confusion prints the model's kinds of the pictures: fitted ones and held-out ones.
func confusion(m *look.Model, samples []sample, held func(sample) bool) {
	count := map[string]int{}
	for _, s := range samples {
		set := "fitted"
		if held(s) {
			set = "held out"
		}
		got := m.Kind(s.traits)
		count[set+s.kind+string(got)]++
		if held(s) && (got == look.Text) != (s.kind == kindText) {
			fmt.Printf("held out: %s is %s, taken for %s\n", s.id, s.kind, got)
		}
	}
	fmt.Printf("%-9s %-8s", "", "taken for")
	as := []look.Kind{look.Photo, look.Text, look.Mixed, look.Graphic}
	for _, k := range as {
		fmt.Printf(" %8s", k)
	}
	fmt.Println()
	for _, set := range []string{"fitted", "held out"} {
		for _, k := range kinds {
			fmt.Printf("%-9s %-9s", set, k)
			for _, g := range as {
				fmt.Printf(" %8d", count[set+k+string(g)])
			}
			fmt.Println()
		}
	}
}

// fitPredictor fits the q of one coder for one target, and prints its results on each source that is held out.
func fitPredictor(all map[curveKey]*curve, library string, c coder, group string, target float64, samples []sample) (look.Predictor, bool) {
	var f fitting
	for _, s := range samples {
		cv := all[curveKey{library, s.id, c.name}]
		if s.group() != group || cv == nil {
			continue
		}
		values := cv.score
		if s.kind == kindText {
			values = cv.worst
		}
		q := cv.reach(values, target+margin(group, target))
		rise := math.Max(cv.rise(values, q), minWeight)
		f.add(s, cv, values, q, rise*rise)
	}
	if len(f.y) < 30 {
		return look.Predictor{}, false
	}
	low, high := percentile(f.y, 3), slices.Max(f.y)
	if group != "photo" {
		low = math.Max(low, leastDrawn)
	}
	p := look.Predictor{Coder: c.name, Kind: group, Target: target, Low: math.Round(low), High: math.Round(high)}
	f.report(library, p)
	p.Base, p.Weights = ridge(f.x, f.y, f.weight, penalty)
	return p, true
}

// fitting holds the samples of one predictor.
type fitting struct {
	x         [][]float64
	y, weight []float64
	source    []string
	curves    []*curve
	values    [][]float64
}

func (f *fitting) add(s sample, cv *curve, values []float64, q, weight float64) {
	f.x, f.y, f.weight = append(f.x, s.x), append(f.y, q), append(f.weight, weight)
	f.source, f.curves, f.values = append(f.source, s.source), append(f.curves, cv), append(f.values, values)
}

// report prints one line: a fixed q that reaches the same mean, and the model fitted without the source that it judges.
func (f *fitting) report(library string, p look.Predictor) {
	var scores, bytes []float64
	for i := range f.y {
		var x [][]float64
		var y, w []float64
		for k := range f.y {
			if f.source[k] != f.source[i] {
				x, y, w = append(x, f.x[k]), append(y, f.y[k]), append(w, f.weight[k])
			}
		}
		q, weights := ridge(x, y, w, penalty)
		for j, v := range weights {
			q += v * f.x[i][j]
		}
		q = math.Max(p.Low, math.Min(p.High, q))
		scores = append(scores, f.curves[i].at(f.values[i], q))
		bytes = append(bytes, math.Exp(f.curves[i].at(f.curves[i].bytes, q)))
	}
	low, high := 5.0, 95.0
	var fixed, fixedBytes []float64
	for high-low > 0.1 {
		q := (low + high) / 2
		fixed, fixedBytes = nil, nil
		for i, c := range f.curves {
			fixed, fixedBytes = append(fixed, c.at(f.values[i], q)), append(fixedBytes, math.Exp(c.at(c.bytes, q)))
		}
		if mean(fixed) < mean(scores) {
			low = q
		} else {
			high = q
		}
	}
	fmt.Printf("%-5s %-7s %-6s %6.0f %4d | q%-3.0f %5.2f %5.1f %5.1f %6.1f | %5.1f %5.2f %5.1f %5.1f %6.1f\n", setOf(library), p.Coder, p.Kind, p.Target,
		len(f.y), high, deviation(fixed), percentile(fixed, 10), slices.Min(fixed), mean(fixedBytes)/1024,
		mean(scores), deviation(scores), percentile(scores, 10), slices.Min(scores), mean(bytes)/1024)
}
