package codec

import (
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// half draws black on the left half and white on the right.
func half(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	fill(img, image.Rect(0, 0, w/2, h), black)
	fill(img, image.Rect(w/2, 0, w, h), white)
	return img
}

func TestBlur(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, half(200, 50))
	red := func(sigma float64, x int) uint8 {
		return decoded(t, must(t, c, original, variant.Spec{Blur: sigma, Format: variant.PNG}).Body).NRGBAAt(x, 25).R
	}
	for _, tt := range []struct {
		sigma float64
		reach int // distance from the edge at which the blur is certainly visible
	}{{2, 2}, {8, 8}, {20, 20}, {60, 60}} { // Above 16 it is done at a smaller size.
		if v := red(tt.sigma, 100-tt.reach); v < 20 || v > 90 {
			t.Errorf("sigma %v: %d px left of the edge = %d, want about 40", tt.sigma, tt.reach, v)
		}
		if v := red(tt.sigma, 100+tt.reach); v < 165 || v > 245 {
			t.Errorf("sigma %v: %d px right of the edge = %d, want about 215", tt.sigma, tt.reach, v)
		}
	}
	if v := red(2, 80); v != 0 {
		t.Errorf("sigma 2 reaches 20 px: %d", v)
	}
}

// TestBlurKeepsColourOfClearPixels checks that the colour of transparent pixels does not bleed.
func TestBlurKeepsColourOfClearPixels(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 100, 50))
	fill(img, image.Rect(0, 0, 50, 50), color.NRGBA{0, 255, 0, 0}) // Transparent, with hidden green.
	fill(img, image.Rect(50, 0, 100, 50), color.NRGBA{255, 0, 0, 255})
	c := mustNew(t, "")
	for _, spec := range []variant.Spec{{Blur: 3}, {Width: 33}, {Pixelate: 7}, {Blur: 20}} {
		spec.Format = variant.PNG
		got := decoded(t, must(t, c, pngOf(t, img), spec).Body)
		for x := range got.Bounds().Dx() {
			if p := got.NRGBAAt(x, 10); p.A > 8 && p.G > 12 {
				t.Errorf("%+v: pixel %d = %v, green bled", spec, x, p)
				break
			}
		}
	}
}

func TestSharpen(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 100, 50))
	fill(img, image.Rect(0, 0, 50, 50), color.NRGBA{100, 100, 100, 255})
	fill(img, image.Rect(50, 0, 100, 50), color.NRGBA{150, 150, 150, 255})
	c := mustNew(t, "")
	got := decoded(t, must(t, c, pngOf(t, img), variant.Spec{Sharpen: 2, Format: variant.PNG}).Body)
	if dark, light := got.NRGBAAt(49, 25).R, got.NRGBAAt(50, 25).R; dark >= 97 || light <= 153 {
		t.Errorf("beside the edge %d and %d, want below 97 and above 153", dark, light)
	}
	wantColour(t, got, 5, 25, color.NRGBA{100, 100, 100, 255}, 2)
}

func TestPixelate(t *testing.T) {
	c := mustNew(t, "")
	got := decoded(t, must(t, c, pngOf(t, noise(103, 57, 7)), variant.Spec{Pixelate: 10, Format: variant.PNG}).Body)
	if s := got.Bounds().Size(); s != image.Pt(103, 57) {
		t.Fatalf("size %v, want 103x57", s)
	}
	for y := range 57 {
		for x := range 103 {
			if got.NRGBAAt(x, y) != got.NRGBAAt(x/10*10, y/10*10) {
				t.Fatalf("pixel %d,%d is not its block's", x, y)
			}
		}
	}
	if got.NRGBAAt(0, 0) == got.NRGBAAt(10, 0) {
		t.Error("two blocks of noise are alike")
	}
}

func TestTrim(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 100, 80))
	fill(img, img.Bounds(), color.NRGBA{250, 250, 250, 255})
	fill(img, image.Rect(20, 10, 60, 70), blue)
	on := func(t variant.Trim) variant.Trim { t.On = true; t.Threshold = 10; return t }
	tests := []struct {
		name string
		spec variant.Spec
		want image.Point
	}{
		{"smart", variant.Spec{Trim: on(variant.Trim{})}, image.Pt(40, 60)},
		{"named colour", variant.Spec{Trim: on(variant.Trim{Color: variant.Color{Set: true, R: 250, G: 250, B: 250}})}, image.Pt(40, 60)},
		{"other colour", variant.Spec{Trim: on(variant.Trim{Color: variant.Color{Set: true, G: 255}})}, image.Pt(100, 80)},
		{"equal left and right", variant.Spec{Trim: on(variant.Trim{EqualHor: true})}, image.Pt(60, 60)},
		{"equal top and bottom", variant.Spec{Trim: on(variant.Trim{EqualVer: true})}, image.Pt(40, 60)},
		{"then the box", variant.Spec{Trim: on(variant.Trim{}), Width: 20}, image.Pt(20, 30)},
		{"then rotated", variant.Spec{Trim: on(variant.Trim{}), Rotate: 90}, image.Pt(60, 40)},
	}
	c := mustNew(t, "")
	for _, tt := range tests {
		tt.spec.Format = variant.PNG
		if got := decoded(t, must(t, c, pngOf(t, img), tt.spec).Body).Bounds().Size(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	turned := withOrientation(jpegOf(t, img, 95), 6) // The border is trimmed off the upright picture.
	if got := decoded(t, must(t, c, turned, variant.Spec{Trim: on(variant.Trim{}), Format: variant.PNG}).Body).Bounds().Size(); abs(got.X-60) > 4 || abs(got.Y-40) > 4 {
		t.Errorf("turned: %v, want about 60x40", got)
	}
	plain := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	fill(plain, plain.Bounds(), blue)
	if got := decoded(t, must(t, c, pngOf(t, plain), variant.Spec{Trim: on(variant.Trim{}), Format: variant.PNG}).Body).Bounds().Size(); got != image.Pt(30, 20) {
		t.Errorf("a picture of one colour: %v, want it whole", got)
	}
}

// TestSmartGravity places one bright detail off the centre of a dull picture and expects it in the crop.
func TestSmartGravity(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 400, 100))
	fill(img, img.Bounds(), color.NRGBA{90, 95, 90, 255})
	for i := range 8 {
		fill(img, image.Rect(320+4*i, 30+3*(i%4), 322+4*i, 70), color.NRGBA{255, 180, 140, 255})
	}
	smart := variant.Gravity{Kind: variant.Smart}
	c := mustNew(t, "")
	for name, spec := range map[string]variant.Spec{
		"fill":           {Resize: variant.Fill, Width: 100, Height: 100, Gravity: smart},
		"fill, shrunk":   {Resize: variant.Fill, Width: 50, Height: 50, Gravity: smart},
		"crop":           {Crop: variant.Crop{Width: 100, Height: 100, Gravity: smart, GravitySet: true}},
		"crop, rotated":  {Rotate: 90, Crop: variant.Crop{Width: 100, Height: 100, Gravity: smart, GravitySet: true}},
		"crop, and fill": {Crop: variant.Crop{Width: 200, Height: 100}, Resize: variant.Fill, Width: 100, Height: 100, Gravity: smart},
	} {
		spec.Format = variant.PNG
		got := decoded(t, must(t, c, pngOf(t, img), spec).Body)
		bright := false
		for i := 0; i < len(got.Pix); i += 4 {
			bright = bright || got.Pix[i] > 200
		}
		if !bright {
			t.Errorf("%s: the detail was cut off", name)
		}
	}
}
