package vips

import (
	"bytes"
	"image/color"
	"image/png"
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

// TestPalettesOfEachNumberOfBands writes a picture in a palette as PNG. Each pixel has the colour of the palette, with
// grey in one band too.
func TestPalettesOfEachNumberOfBands(t *testing.T) {
	if err := Boot(); err != nil {
		t.Fatal(err)
	}
	const side = 64
	for _, bands := range []int{1, 3, 4} {
		samples := make([]byte, bands*side*side)
		for i := range samples {
			if samples[i] = byte(i/bands%side/16*60 + i%bands*9); i%4 == 3 && bands == 4 {
				samples[i] = 255 - byte(i/bands/side/32*90)
			}
		}
		im, err := FromPixels(samples, side, side, bands)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Free()
		few, err := im.InPalette(Palette{Bits: 8, Q: 100})
		if err != nil {
			t.Fatal(err)
		}
		defer few.Free()
		made, err := few.Save(Saving{Format: variant.PNG, Q: 100, Effort: 4, Bits: 4})
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(made))
		if err != nil {
			t.Fatal(err)
		}
		for i := range side * side {
			c := color.NRGBAModel.Convert(picture.At(i%side, i/side)).(color.NRGBA)
			got, want := [4]byte{c.R, c.G, c.B, c.A}, [4]byte{0, 0, 0, 255}
			copy(want[:], samples[i*bands:(i+1)*bands])
			if bands == 1 {
				want[1], want[2] = want[0], want[0]
			}
			if got != want {
				t.Fatalf("%d bands, pixel %d: %v, want %v", bands, i, got, want)
			}
		}
	}
}
