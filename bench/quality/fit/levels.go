package fit

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/variant"
)

// levelsFile is the file of the fit, relative to bench.
const levelsFile = "../transform/codec/look/levels.json"

// levelsPenalty keeps the weights of nearly equal features small. Between 0.3 and 30 it does not change what is chosen.
const levelsPenalty = 10

// levelsMargin is subtracted from the measured scores in the fit, so that misjudged pictures keep the floor.
const levelsMargin = 2

// inLevels is one reference in n levels.
type inLevels struct {
	id, source string
	n          int
	result
	traits look.Traits
	suits  bool // whether the product would use the model for it
	lossy  lossy
}

// lossy is the product's result for the reference without levels, for clients of each format.
type lossy map[variant.Format]result

// lossyFormats never get levels when URLs name them.
var lossyFormats = []variant.Format{variant.AVIF, variant.JPEG}

type result struct {
	bytes int
	score float64 // of its worst part
}

// Levels measures drawn references in few levels, fits the model of their score, and prints what it would choose for
// pictures of held-out sources.
func Levels(ctx context.Context, o Options) error {
	c, found, err := o.Find()
	if err != nil {
		return err
	}
	drawn := func(r pictures.Reference) bool { return r.Kind != pictures.Photo }
	rows, err := pictures.Each(ctx, o.Jobs, found, drawn, func(r pictures.Reference) ([]inLevels, error) {
		return levelsOf(c, r)
	})
	if err != nil {
		return err
	}
	m, err := fitLevels(rows, "")
	if err != nil {
		return err
	}
	for _, target := range []float64{70, 80} {
		if err := judgeLevels(rows, target); err != nil {
			return err
		}
	}
	if !o.Write {
		return nil
	}
	body, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(levelsFile, append(body, '\n'), 0o644)
}

// levelsOf measures one reference in every number of levels.
func levelsOf(c *codec.Codec, r pictures.Reference) (out []inLevels, err error) {
	s, err := r.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if t, err := s.Traits(); err != nil || t.Equal < look.LevelsFlat {
		return nil, err
	}
	without := lossy{}
	for _, f := range lossyFormats {
		made, err := s.Make(c, variant.Spec{Format: f}, variant.StageFinal)
		if err != nil {
			return nil, err
		}
		if without[f], err = scored(s, made.Body); err != nil {
			return nil, err
		}
	}
	for _, n := range []int{3, 4, 5, 6, 8, 12} { // Two more than the product tries, so that the fit sees what it must refuse.
		row := inLevels{id: r.ID, source: r.Source, n: n, lossy: without}
		few, t, suits, err := s.Levels(n)
		if err != nil {
			return nil, err
		}
		row.traits, row.suits = t, suits
		body, err := few.Encode(judge.Encoding{Format: variant.WebP, Effort: 4, Lossless: true})
		few.Free()
		if err != nil {
			return nil, err
		}
		if row.result, err = scored(s, body); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// scored is an encode of s by its size and the score of its worst part.
func scored(s *pictures.Subject, body []byte) (result, error) {
	all, worst, err := s.Score(body)
	return result{len(body), min(all, worst)}, err
}

// fitLevels fits the model on the rows of all sources but one, for pictures like those that it will be used for.
func fitLevels(rows []inLevels, without string) (*look.LevelsModel, error) {
	var x [][]float64
	var y, weight []float64
	sources := map[string]bool{}
	for _, r := range rows {
		if r.source == without || !r.suits || r.score < 30 || r.score > 93 {
			continue
		}
		f := look.LevelsFeatures(r.traits)
		x, y, weight = append(x, f[:]), append(y, r.score), append(weight, 1)
		sources[r.source] = true
	}
	if len(sources) < 10 {
		return nil, fmt.Errorf("pictures of %d sources are too few for a fit", len(sources))
	}
	base, w := ridge(x, y, weight, levelsPenalty)
	round := func(v float64) float64 { return math.Round(v*1e4) / 1e4 }
	m := &look.LevelsModel{Note: fmt.Sprintf("%d pictures in levels, of %d sources", len(x), len(sources)), Base: round(base - levelsMargin)}
	for _, v := range w {
		m.Weights = append(m.Weights, round(v))
	}
	return m, nil
}

// judgeLevels prints the results of the first number of levels predicted to reach the target, by models without the
// source.
func judgeLevels(rows []inLevels, target float64) error {
	models := map[string]*look.LevelsModel{}
	chosen := map[string]inLevels{}
	ids := map[string]bool{}
	var off []float64
	for _, r := range rows {
		ids[r.id] = true
		m := models[r.source]
		if m == nil {
			var err error
			if m, err = fitLevels(rows, r.source); err != nil {
				return err
			}
			models[r.source] = m
		}
		if !r.suits {
			continue
		}
		predicted := m.Score(r.traits)
		if r.score > 30 && r.score < 93 {
			off = append(off, r.score-predicted)
		}
		best, ok := chosen[r.id]
		if predicted >= target && slices.Contains(look.LevelCounts(), r.n) && (!ok || r.n < best.n) {
			chosen[r.id] = r
		}
	}
	fmt.Printf("\ntarget %.0f: the score is off by %.1f (rms); levels suit %d of %d pictures\n", target, stats.Deviation(off), len(chosen), len(ids))
	printLevels(chosen)
	return nil
}

// printLevels compares the chosen pictures with those without levels.
func printLevels(chosen map[string]inLevels) {
	if len(chosen) == 0 {
		return
	}
	for _, f := range lossyFormats {
		ours, theirs := 0, 0
		var score, their []float64
		for _, r := range chosen {
			l := r.lossy[f]
			ours, theirs = ours+r.bytes, theirs+l.bytes
			score, their = append(score, r.score), append(their, l.score)
		}
		fmt.Printf("%-5s %d pictures: %.2f of the bytes, score of the worst part %s, without levels at target 70 %s\n", f, len(chosen),
			float64(ours)/float64(theirs), summary(score), summary(their))
	}
}

func summary(v []float64) string {
	return fmt.Sprintf("mean %.1f sd %.1f worst %.1f", stats.Mean(v), stats.Deviation(v), slices.Min(v))
}
