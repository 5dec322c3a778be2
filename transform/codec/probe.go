package codec

// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -lm
// #include "probe.h"
import "C"

import (
	"fmt"
	"math"
)

// The trial: about as many pixels as a picture of 480 x 300 has, at a quality low enough for every encoder's weak spots
// to show. Of 60, 30 and 15, the lower two predicted the q of all encoders better.
const (
	probePixels  = 150_000
	probeQuality = 20
)

// Traits is what a picture is like, as far as it decides the quality that it needs. The values are shares, means and
// errors of a sample of its pixels before and after a trial encode; probe.h says what each is.
type Traits struct {
	Flat, Busy, Busy4, Dark, Mean, Chroma, Equal, Steep, Strokes, Print, Plain, Colourful float64
	Rate, Luma, Luma4, Loss, Loss4, Half, Half4, Blue, Red, Blue4, Red4, Soft, Ring       float64
}

// traits measures a picture in memory, at least one tile wide and high.
func (im *pixmap) traits() (Traits, error) {
	var t C.GcTraits
	if C.gc_traits(im.p, probePixels, probeQuality, &t) != 0 {
		return Traits{}, vipsError()
	}
	return traitsOf(t), nil
}

// against is traits, where the trial is what the picture has become in other, of the same size.
func (im *pixmap) against(other *pixmap) (Traits, error) {
	var t C.GcTraits
	if C.gc_against(im.p, other.p, probePixels, &t) != 0 {
		return Traits{}, vipsError()
	}
	return traitsOf(t), nil
}

func traitsOf(t C.GcTraits) Traits {
	f := func(v C.float) float64 { return float64(v) }
	return Traits{
		Flat: f(t.flat), Busy: f(t.busy), Busy4: f(t.busy4), Dark: f(t.dark), Mean: f(t.mean), Chroma: f(t.chroma), Equal: f(t.equal),
		Steep: f(t.steep), Strokes: f(t.strokes), Print: f(t.print), Plain: f(t.plain), Colourful: f(t.colourful), Rate: f(t.rate),
		Luma: f(t.luma), Luma4: f(t.luma4), Loss: f(t.loss), Loss4: f(t.loss4), Half: f(t.half), Half4: f(t.half4), Blue: f(t.blue),
		Red: f(t.red), Blue4: f(t.blue4), Red4: f(t.red4), Soft: f(t.soft), Ring: f(t.ring),
	}
}

// featureCount is the number of values that the models read.
const featureCount = 29

// Features are the traits on scales on which a linear model can use them: errors and rates as logarithms, the small
// additions keep them finite. A change of their number, order or scale needs a new fit.
func (t Traits) Features() [featureCount]float64 {
	l := func(v, atLeast float64) float64 { return math.Log(v + atLeast) }
	return [featureCount]float64{
		l(t.Rate, 0.001), l(t.Luma, 0.1), l(t.Luma4, 0.1), l(t.Loss, 0.01), l(t.Loss4, 0.01), l(t.Half, 0.003), l(t.Half4, 0.003),
		l(t.Blue, 0.1), l(t.Red, 0.1), l(t.Blue4, 0.1), l(t.Red4, 0.1), t.Flat, t.Busy, t.Busy4, t.Dark, t.Mean, t.Chroma, t.Equal,
		t.Steep, t.Strokes, math.Sqrt(t.Print), t.Plain, t.Colourful, t.Soft, t.Ring,
		t.Print / (1.05 - t.Plain), 1 - t.Print - t.Plain, t.Equal * t.Plain, l(t.Steep, 0.001),
	}
}

// Traits measures the picture, which is at least 32 pixels wide and high.
func (r *Raster) Traits() (Traits, error) {
	t, err := r.im.traits()
	if err != nil {
		return t, fmt.Errorf("codec.Traits: %w", err)
	}
	return t, nil
}
