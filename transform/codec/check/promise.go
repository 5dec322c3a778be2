package check

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/specimen"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// PromiseMost is the largest allowed distance of an encoder from its promise, in points of score.
const PromiseMost = 3

// Promise compares the results of an encoder on the specimens of one kind with what is promised.
type Promise struct {
	// Encoder is avif9, avif8, webp4, jpeg, jxl3 or jxl5 for first-stage variants, and avif, webp, jpeg or jxl for final
	// ones. Kind is photo or print.
	Encoder, Kind string
	Final         bool
	// Mean and Worst are distances in points of score. For first-stage variants, after any correction, they are
	// measured from the record with the libraries on which the coefficients were fitted; for final ones, from the
	// target.
	Mean, Worst float64
}

// Kept reports whether the promise is kept. First-stage variants must keep it on average, since a library may change
// pictures in different ways; final ones must keep it for each picture. Print may exceed its target: in few levels of
// grey, or lossless, it costs fewer bytes.
func (p Promise) Kept() bool {
	if p.Final {
		return p.Worst >= -PromiseMost && (p.Kind == "print" || p.Mean <= PromiseMost)
	}
	return math.Abs(p.Mean) <= PromiseMost
}

// Promises makes first-stage and final variants of the specimens with every encoder. It takes some seconds of processor
// time.
func Promises(c transform.Codec) ([]Promise, error) {
	all, err := readRecords(checkFile)
	if err != nil {
		return nil, err
	}
	first, err := firstPromises(all[choose.SetFor(vips.AOMVersion())])
	if err != nil {
		return nil, err
	}
	final, err := finalPromises(c)
	return append(first, final...), err
}

// firstPromises measures the encoders as for first-stage variants: with the corrections of the self-check.
func firstPromises(want []Record) ([]Promise, error) {
	plain, err := Measure()
	if err != nil {
		return nil, err
	}
	d, err := drift(want, plain)
	if err != nil {
		return nil, err
	}
	fixed := plain
	if d.Corrects() {
		if fixed, err = corrected(d); err != nil {
			return nil, err
		}
	}
	var out []Promise
	for i, r := range fixed {
		p := Promise{Encoder: r.Coder, Kind: transform.CoderDrift{Print: r.Print}.Kind()}
		p.add(distances(matching(want, r).Scores, fixed[i].Scores))
		out = append(out, p)
	}
	return out, nil
}

// distances returns the differences of scores.
func distances(want, got [][]float64) []float64 {
	var out []float64
	for level := range got {
		for i := range got[level] {
			out = append(out, got[level][i]-want[level][i])
		}
	}
	return out
}

// add sets the mean and the worst distance: the lowest for final variants, the one farthest from 0 for first-stage
// ones.
func (p *Promise) add(distances []float64) {
	p.Mean, p.Worst = mean(distances), distances[0]
	for _, d := range distances {
		if p.Final && d < p.Worst || !p.Final && math.Abs(d) > math.Abs(p.Worst) {
			p.Worst = d
		}
	}
}

// finalPromises makes final variants of the specimens, and compares their scores with the targets of the classes.
func finalPromises(c transform.Codec) ([]Promise, error) {
	var out []Promise
	for _, f := range []variant.Format{variant.AVIF, variant.WebP, variant.JPEG, variant.JXL} {
		if !slices.ContainsFunc(linked(), func(e encoder) bool { return e.format == f }) {
			continue
		}
		for _, print := range []bool{false, true} {
			p := Promise{Encoder: strings.Replace(string(f), "jpg", "jpeg", 1), Kind: transform.CoderDrift{Print: print}.Kind(), Final: true}
			var all []float64
			for _, s := range specimen.All() {
				if s.Print != print {
					continue
				}
				got, err := finalDistances(c, s, f)
				if err != nil {
					return nil, vips.Internal("codec.Promises", fmt.Errorf("%s as %s: %w", s.Name, f, err))
				}
				all = append(all, got...)
			}
			p.add(all)
			out = append(out, p)
		}
	}
	return out, nil
}

// finalDistances returns the distances of one specimen for the classes high and normal. Each specimen can be reduced to
// their targets.
func finalDistances(c transform.Codec, s specimen.Specimen, f variant.Format) (out []float64, err error) {
	im, err := vips.FromPixels(s.Draw(), specimen.Side, specimen.Side, 3)
	if err != nil {
		return nil, err
	}
	defer im.Free()
	original, err := im.Save(vips.Saving{Format: variant.PNG, Lossless: true})
	if err != nil {
		return nil, err
	}
	j, err := judge.New(im, s.Print)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	specs := []variant.Spec{{Format: f, Class: variant.ClassHigh}, {Format: f, Class: variant.ClassNormal}}
	lim := transform.Limits{Pixels: 1 << 20, ResultPixels: 1 << 20, AVIFPixels: 1 << 20, Frames: 1}
	var failed error
	err = c.Transform(variant.Original{Body: original}, specs, variant.StageFinal, lim, func(_ int, img variant.Image, err error) {
		worst := 0.0
		if err == nil {
			_, worst, err = j.Score(img.Body)
		}
		if err != nil {
			failed = err
			return
		}
		out = append(out, worst-img.Choice.Target)
	})
	if err == nil {
		err = failed
	}
	return out, err
}
