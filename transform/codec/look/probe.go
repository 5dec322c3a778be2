// Package look measures a sample of a picture's pixels. It tells photos, print and drawings apart, and computes the
// features of the models of the automatic quality.
package look

// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -lm -ljpeg
// #include "probe.h"
// #include "trial.h"
import "C"

import (
	"errors"
	"math"
	"runtime"
	"unsafe"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// The trial encode. It uses about as many pixels as a picture of 480 x 300 has, at a quality low enough to show every
// encoder's weak spots. Of 60, 30 and 15, the lower two predicted the q of all encoders better.
const (
	probePixels  = 150_000
	probeQuality = 20
	probeHeader  = 172 // bytes of the EXIF block that libvips added to the trials on which the models were fitted
)

// Traits are the properties of a picture that decide the quality it needs. The values are shares, means and errors of a
// sample of its pixels before and after a trial encode; probe.h defines each.
type Traits struct {
	Flat, Busy, Busy4, Dark, Mean, Chroma, Equal, Steep, Strokes, Print, Plain, Colourful float64
	Rate, Luma, Luma4, Loss, Loss4, Half, Half4, Blue, Red, Blue4, Red4, Soft, Ring       float64
}

// sample holds tiles of a picture, side by side, in three bands.
type sample struct {
	rgb   []byte
	tiles int
}

// size is the size of the tiles laid side by side.
func (s sample) size() geometry.Size {
	return geometry.Size{W: C.GC_ACROSS * C.GC_TILE, H: (s.tiles + C.GC_ACROSS - 1) / C.GC_ACROSS * C.GC_TILE}
}

// gather takes a sample of a picture in memory that is at least one tile wide and high. Pictures of equal size give the
// same positions.
func gather(im *vips.Image) (sample, error) {
	samples, err := im.View()
	if err != nil {
		return sample{}, err
	}
	f := im.Facts()
	all := (f.Width / C.GC_TILE) * (f.Height / C.GC_TILE)
	wanted := max(probePixels/(C.GC_TILE*C.GC_TILE), C.GC_ACROSS)
	step := max(1, (all+wanted-1)/wanted)
	rows := (all/step + 2 + C.GC_ACROSS - 1) / C.GC_ACROSS
	s := sample{rgb: make([]byte, rows*C.GC_TILE*C.GC_ACROSS*C.GC_TILE*3)}
	s.tiles = int(C.gc_sample(at(samples), C.int(f.Width), C.int(f.Height), C.int(f.Bands), C.int(step), at(s.rgb), C.int(rows*C.GC_ACROSS)))
	runtime.KeepAlive(im)
	return s, nil
}

// at returns a C pointer to samples.
func at(samples []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(&samples[0])) }

// Measure returns the traits of a picture in memory, at least one tile wide and high, with a trial encode.
func Measure(im *vips.Image) (Traits, error) {
	s, err := gather(im)
	if err != nil {
		return Traits{}, err
	}
	return s.measure()
}

// Probe is Measure, with the size of the letters of print.
func Probe(im *vips.Image) (t Traits, l Letters, err error) {
	s, err := gather(im)
	if err != nil {
		return t, l, err
	}
	if t, err = s.measure(); err == nil && t.Print > 0 {
		l = s.letters()
	}
	return t, l, err
}

func (s sample) measure() (Traits, error) {
	back, bytes, err := s.trial()
	if err != nil {
		return Traits{}, err
	}
	return s.compare(back, bytes), nil
}

// trial encodes the sample as a JPEG with libjpeg's defaults, and decodes it. bytes is the size of the JPEG
// with probeHeader.
func (s sample) trial() (back []byte, bytes int, err error) {
	back = make([]byte, len(s.rgb))
	z := s.size()
	if bytes = int(C.gc_trial(at(s.rgb), at(back), C.int(z.W), C.int(z.H), probeQuality)); bytes == 0 {
		return nil, 0, errors.New("codec: no memory for the trial encode")
	}
	return back, bytes + probeHeader, nil
}

// against is Measure with other, a picture of the same size, in place of the trial encode.
func against(im, other *vips.Image) (Traits, error) {
	s, err := gather(im)
	if err != nil {
		return Traits{}, err
	}
	became, err := gather(other)
	if err != nil {
		return Traits{}, err
	}
	return s.compare(became.rgb, 0), nil
}

func (s sample) compare(became []byte, bytes int) Traits {
	var t C.GcTraits
	C.gc_judge(at(s.rgb), at(became), C.int(s.tiles), C.size_t(bytes), &t)
	return traitsOf(t)
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

// featureCount is the number of features of the models.
const featureCount = 29

// Features returns the traits on scales that suit a linear model: errors and rates as logarithms, with small additions
// that keep them finite. A change of their number, order or scale needs a new fit.
func (t Traits) Features() [featureCount]float64 {
	l := func(v, atLeast float64) float64 { return math.Log(v + atLeast) }
	return [featureCount]float64{
		l(t.Rate, 0.001), l(t.Luma, 0.1), l(t.Luma4, 0.1), l(t.Loss, 0.01), l(t.Loss4, 0.01), l(t.Half, 0.003), l(t.Half4, 0.003),
		l(t.Blue, 0.1), l(t.Red, 0.1), l(t.Blue4, 0.1), l(t.Red4, 0.1), t.Flat, t.Busy, t.Busy4, t.Dark, t.Mean, t.Chroma, t.Equal,
		t.Steep, t.Strokes, math.Sqrt(t.Print), t.Plain, t.Colourful, t.Soft, t.Ring,
		t.Print / (1.05 - t.Plain), 1 - t.Print - t.Plain, t.Equal * t.Plain, l(t.Steep, 0.001),
	}
}

// shadesLost is the largest share, over all tiles, of pixels that are no edges and differ in few.
func shadesLost(im, few *vips.Image) (float64, error) {
	a, err := im.View()
	if err != nil {
		return 0, err
	}
	b, err := few.View()
	if err != nil {
		return 0, err
	}
	f := im.Facts()
	return float64(C.gc_shades(at(a), at(b), C.int(f.Width), C.int(f.Height), C.int(f.Bands))), nil
}
