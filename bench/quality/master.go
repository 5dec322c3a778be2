package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/variant"
)

// masterSide is the longer side of the masters. masterReach is the largest ratio of a variant to its master.
const (
	masterSide  = 1600
	masterReach = 0.75
)

// masterWidths are the variants made from originals and from their masters. masterCoders are their encoders.
var (
	masterWidths = []int{1536, 1080, 640, 320}
	masterCoders = []judge.Encoding{
		{Format: variant.PNG}, {Format: variant.WebP, Q: 75, Effort: 4}, {Format: variant.JPEG, Q: 75}, {Format: variant.AVIF, Q: 57},
		{Format: variant.JPEG, Q: 92},
	}
)

// masterFigures are the results for each coder, and for the masters themselves.
type masterFigures struct {
	loss, growth, saved [][]float64 // score lost, bytes, and CPU of the original's against the master's
	bytes, shares       []float64   // KB of the masters, and as a share of their originals
	price               []float64   // ms of CPU to make one
}

// master measures what variants lose, and what is saved, when they are made from the master instead of the original.
func master(ctx context.Context, o options) error {
	n := len(masterCoders)
	f := masterFigures{loss: make([][]float64, n), growth: make([][]float64, n), saved: make([][]float64, n)}
	suits := func(i sniff.Info) bool { return max(i.Width, i.Height) > masterSide }
	err := eachOriginal(ctx, o, suits, f.add)
	if err != nil {
		return err
	}
	if len(f.bytes) == 0 {
		return fmt.Errorf("no picture of %s is longer than %d pixels", strings.Join(o.Dirs, ", "), masterSide)
	}
	fmt.Printf("%d masters: %.0f KB on average, at most %.0f, %.2f of their originals; made in %.0f ms of CPU\n",
		len(f.bytes), stats.Mean(f.bytes), slices.Max(f.bytes), stats.Mean(f.shares), stats.Mean(f.price))
	for i, e := range masterCoders {
		fmt.Printf("%-5s q%-3d n %d, score of the original's less score of the master's: mean %.2f, least %.2f, most %.2f; bytes master's / original's %.3f; CPU original's / master's %.2f\n",
			e.Format, e.Q, len(f.loss[i]), stats.Mean(f.loss[i]), slices.Min(f.loss[i]), slices.Max(f.loss[i]), stats.Mean(f.growth[i]), stats.Mean(f.saved[i]))
	}
	return nil
}

// add makes a picture's variants in both ways, and scores them against one careful step of scaling from all pixels.
func (f *masterFigures) add(c *codec.Codec, body []byte) error {
	original := variant.Original{Body: body}
	made, price, err := chainMade(c, original, []variant.Spec{{Master: true, Width: masterSide, Height: masterSide}})
	if err != nil {
		return err
	}
	m := made[0]
	f.bytes, f.shares = append(f.bytes, float64(len(m.Body))/1000), append(f.shares, float64(len(m.Body))/float64(len(body)))
	f.price = append(f.price, stats.Milliseconds(price))
	reduced := variant.Original{Body: m.Body, Master: &variant.Master{Width: m.SourceWidth, Height: m.SourceHeight, Format: m.SourceFormat, Bytes: int64(len(body))}}
	reach := masterReach * float64(m.Width) / float64(m.SourceWidth)
	var widths []int
	for _, w := range masterWidths {
		if (variant.Spec{Width: w}).Scale(m.SourceWidth, m.SourceHeight) <= reach {
			widths = append(widths, w)
		}
	}
	exact, err := chainExact(body, widths)
	defer func() {
		for _, j := range exact {
			j.Close()
		}
	}()
	if err != nil {
		return err
	}
	from := [2]variant.Original{original, reduced}
	for i, e := range masterCoders {
		for k, w := range widths {
			if err := f.compare(c, i, from, variant.Spec{Width: w, Format: e.Format, Quality: uint8(e.Q)}, exact[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare makes one variant from the original and from its master.
func (f *masterFigures) compare(c *codec.Codec, i int, from [2]variant.Original, spec variant.Spec, exact *judge.Judge) error {
	var scores, prices, sizes [2]float64
	for k, original := range from {
		made, price, err := chainMade(c, original, []variant.Spec{spec})
		if err != nil {
			return err
		}
		if scores[k], _, err = exact.Score(made[0].Body); err != nil {
			return err
		}
		prices[k], sizes[k] = float64(price), float64(len(made[0].Body))
	}
	f.loss[i], f.growth[i], f.saved[i] = append(f.loss[i], scores[0]-scores[1]), append(f.growth[i], sizes[1]/sizes[0]), append(f.saved[i], prices[0]/prices[1])
	return nil
}
