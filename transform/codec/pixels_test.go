package codec

import (
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/codectest"
)

// Short names for codectest.
var (
	abs             = codectest.Abs
	black           = codectest.Black
	blue            = codectest.Blue
	clip            = codectest.Clip
	corpus          = codectest.Corpus
	decoded         = codectest.Decode
	fill            = codectest.Fill
	gifOf           = codectest.GIF
	green           = codectest.Green
	jpegOf          = codectest.JPEG
	testLimits      = codectest.Limits
	meadow          = codectest.Meadow
	movie           = codectest.Movie
	near            = codectest.Near
	noise           = codectest.Noise
	none            = codectest.None
	opaque          = codectest.Opaque
	pngOf           = codectest.PNG
	page            = codectest.Page
	patch           = codectest.Patch
	quarters        = codectest.Quarters
	readCorpus      = codectest.ReadCorpus
	red             = codectest.Red
	srgbCurve       = codectest.SRGBCurve
	scan            = codectest.Scan
	scene           = codectest.Scene
	unlike          = codectest.Unlike
	white           = codectest.White
	withOrientation = codectest.WithOrientation
	yellow          = codectest.Yellow
)

// wantColour checks the pixel at x, y; negative coordinates count from the far side.
func wantColour(t *testing.T, img *image.NRGBA, x, y int, want color.NRGBA, d int) {
	t.Helper()
	if x < 0 {
		x += img.Bounds().Dx()
	}
	if y < 0 {
		y += img.Bounds().Dy()
	}
	if got := img.NRGBAAt(x, y); !near(got, want, d) {
		t.Errorf("pixel %d,%d of %v = %v, want %v", x, y, img.Bounds().Size(), got, want)
	}
}
