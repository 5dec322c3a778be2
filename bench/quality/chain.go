package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/bench/quality/pictures"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// chainWidths are the variants of one original that are made in one call and alone. chainCoders are their encoders.
var (
	chainWidths = []int{1080, 640, 320}
	chainCoders = []judge.Encoding{
		{Format: variant.PNG}, {Format: variant.WebP, Q: 75, Effort: 4}, {Format: variant.JPEG, Q: 75}, {Format: variant.AVIF, Q: 57},
	}
)

// chainFigures are the results for two smaller variants of each picture.
type chainFigures struct {
	loss, growth, saved map[variant.Format][]float64 // score lost, bytes, CPU of alone against together
}

// chain compares pictures made from a larger one of the same call with the same pictures made alone: their score,
// lossless and as sent, and the saved time.
func chain(ctx context.Context, o options) error {
	f := chainFigures{loss: map[variant.Format][]float64{}, growth: map[variant.Format][]float64{}, saved: map[variant.Format][]float64{}}
	suits := func(i sniff.Info) bool { return min(i.Width, i.Height) >= chainWidths[0] }
	err := eachOriginal(ctx, o, suits, f.add)
	if err != nil {
		return err
	}
	if len(f.saved) == 0 {
		return fmt.Errorf("no picture of %s is %d pixels wide and high", strings.Join(o.Dirs, ", "), chainWidths[0])
	}
	for _, e := range chainCoders {
		loss := f.loss[e.Format]
		fmt.Printf("%-5s n %d, score alone less score together: mean %.2f, least %.2f, most %.2f; bytes together / alone %.3f; CPU alone / together %.2f\n",
			e.Format, len(loss), stats.Mean(loss), slices.Min(loss), slices.Max(loss), stats.Mean(f.growth[e.Format]), stats.Mean(f.saved[e.Format]))
	}
	return nil
}

// add makes one picture in every way, and scores it against a decode of all pixels with one careful step of scaling.
func (f *chainFigures) add(c *codec.Codec, body []byte) error {
	exact, err := chainExact(body, chainWidths[1:])
	defer func() {
		for _, j := range exact {
			j.Close()
		}
	}()
	if err != nil {
		return err
	}
	for _, e := range chainCoders {
		alone, alonePrice, err := chainAlone(c, body, e)
		if err != nil {
			return err
		}
		together, price, err := chainMade(c, variant.Original{Body: body}, chainSpecs(e))
		if err != nil {
			return err
		}
		f.saved[e.Format] = append(f.saved[e.Format], float64(alonePrice)/float64(price))
		for k, j := range exact {
			without, _, err := j.Score(alone[k+1].Body)
			if err != nil {
				return err
			}
			with, _, err := j.Score(together[k+1].Body)
			if err != nil {
				return err
			}
			f.loss[e.Format] = append(f.loss[e.Format], without-with)
			f.growth[e.Format] = append(f.growth[e.Format], float64(len(together[k+1].Body))/float64(len(alone[k+1].Body)))
		}
	}
	return nil
}

// chainExact returns some widths of a picture, scaled from all pixels in one step.
func chainExact(body []byte, widths []int) (exact []*judge.Judge, err error) {
	full, err := judge.NewRaster(body, variant.Spec{Format: variant.PNG}, pictures.Unlimited)
	if err != nil {
		return nil, err
	}
	defer full.Free()
	lossless, err := full.Encode(judge.Encoding{Format: variant.PNG})
	if err != nil {
		return nil, err
	}
	for _, w := range widths {
		im, err := judge.NewRaster(lossless, variant.Spec{Width: w, Format: variant.PNG}, pictures.Unlimited)
		if err != nil {
			return exact, err
		}
		j, err := im.Judge(false)
		im.Free()
		if err != nil {
			return exact, err
		}
		exact = append(exact, j)
	}
	return exact, nil
}

func chainSpecs(e judge.Encoding) []variant.Spec {
	var specs []variant.Spec
	for _, w := range chainWidths {
		specs = append(specs, variant.Spec{Width: w, Format: e.Format, Quality: uint8(e.Q)})
	}
	return specs
}

// chainAlone makes each width in a separate call.
func chainAlone(c *codec.Codec, body []byte, e judge.Encoding) (all []variant.Image, price time.Duration, err error) {
	for _, spec := range chainSpecs(e) {
		got, d, err := chainMade(c, variant.Original{Body: body}, []variant.Spec{spec})
		if err != nil {
			return nil, 0, err
		}
		all, price = append(all, got...), price+d
	}
	return all, price, nil
}

// chainMade makes specs in one call, and returns its processor time.
func chainMade(c *codec.Codec, original variant.Original, specs []variant.Spec) ([]variant.Image, time.Duration, error) {
	all := make([]variant.Image, len(specs))
	var failed error
	start := stats.CPU()
	err := c.Transform(original, specs, variant.StageFirst, pictures.Unlimited, func(i int, img variant.Image, err error) {
		all[i] = img
		if err != nil {
			failed = err
		}
	})
	if err == nil {
		err = failed
	}
	return all, stats.CPU() - start, err
}

// eachOriginal calls do with every suitable picture. Without -all it leaves out those that the fit has seen.
func eachOriginal(ctx context.Context, o options, suits func(sniff.Info) bool, do func(*codec.Codec, []byte) error) error {
	c, found, err := o.Find()
	if err != nil {
		return err
	}
	c.Alone()
	for _, p := range found {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		body, err := os.ReadFile(p.File)
		if err != nil {
			return err
		}
		info, err := sniff.Inspect(body)
		if err != nil || !suits(info) || !o.Judges(pictures.SourceOf(filepath.Base(p.File))) {
			continue
		}
		if err := do(c, body); err != nil {
			return fmt.Errorf("%s: %w", p.File, err)
		}
	}
	return nil
}
