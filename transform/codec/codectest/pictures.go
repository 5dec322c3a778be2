// Package codectest draws pictures, and builds files from them, for the tests of the codec.
package codectest

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"testing"
)

// Abs is the absolute value.
func Abs(v int) int { return max(v, -v) }

// The colours of drawn pictures.
var (
	Red    = color.NRGBA{220, 30, 30, 255}   // opaque
	Green  = color.NRGBA{30, 200, 30, 255}   // opaque
	Blue   = color.NRGBA{30, 30, 220, 255}   // opaque
	Yellow = color.NRGBA{230, 220, 40, 255}  // opaque
	White  = color.NRGBA{255, 255, 255, 255} // opaque
	Black  = color.NRGBA{0, 0, 0, 255}       // opaque
	None   = color.NRGBA{}                   // transparent
)

// Fill draws a rectangle.
func Fill(img *image.NRGBA, r image.Rectangle, c color.NRGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// Noise draws a picture that no encoder makes small. Equal seeds give equal pictures.
func Noise(w, h int, seed uint32) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		seed = seed*1664525 + 1013904223
		img.Pix[i] = byte(seed >> 24)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	return img
}

// Scene draws soft shapes that encoders compress well.
func Scene(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			u, v := float64(x)/float64(w), float64(y)/float64(h)
			img.SetNRGBA(x, y, color.NRGBA{
				uint8(127 + 120*math.Sin(9*u+3*v)), uint8(127 + 120*math.Sin(5*v*u*9)), uint8(127 + 100*math.Cos(7*v-4*u)), 255,
			})
		}
	}
	return img
}

// PNG encodes a picture.
func PNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Near reports whether two colours differ by at most d in each channel; for transparent pixels only alpha counts.
func Near(a, b color.NRGBA, d int) bool {
	if Abs(int(a.A)-int(b.A)) > d {
		return false
	}
	if b.A == 0 {
		return true
	}
	return Abs(int(a.R)-int(b.R)) <= d && Abs(int(a.G)-int(b.G)) <= d && Abs(int(a.B)-int(b.B)) <= d
}

// SRGBCurve is the linear light of an sRGB sample.
func SRGBCurve(x float64) float64 {
	if x <= 0.04045 {
		return x / 12.92
	}
	return math.Pow((x+0.055)/1.055, 2.4)
}
