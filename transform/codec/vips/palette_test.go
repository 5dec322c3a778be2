package vips

import (
	"math"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// TestSmoothPicturesGetNoPalettes has ripples on water, which libaom takes for the content of a screen. Speed 8 must
// not need many more bytes for it than speed 9, which has no palettes.
func TestSmoothPicturesGetNoPalettes(t *testing.T) {
	if err := Boot(); err != nil {
		t.Fatal(err)
	}
	const side = 512
	samples := make([]byte, 0, 3*side*side)
	for y := range side {
		for x := range side {
			d := math.Hypot(float64(x-200), float64(y-260))
			v := 110 + 30*math.Sin(d/15)*math.Exp(-d/110) + float64(y)/12
			samples = append(samples, byte(v), byte(v), byte(v+10))
		}
	}
	im, err := FromPixels(samples, side, side, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Free()
	for _, q := range []int{45, 60, 75} {
		fast, err := im.Save(Saving{Format: variant.AVIF, Q: q})
		if err != nil {
			t.Fatal(err)
		}
		final, err := im.Save(Saving{Format: variant.AVIF, Q: q, Effort: 1})
		if err != nil || len(final) > len(fast)*5/4 {
			t.Errorf("q %d: speed 8 makes %d bytes, speed 9 %d; %v", q, len(final), len(fast), err)
		}
		t.Logf("q %d: speed 8 %d, speed 9 %d", q, len(final), len(fast))
	}
}
