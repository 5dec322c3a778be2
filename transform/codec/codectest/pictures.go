// Package codectest draws pictures, and builds files from them, for the tests of the codec.
package codectest

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"runtime"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"golang.org/x/image/webp"
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

// Quarters draws red, green / blue, yellow.
func Quarters(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	Fill(img, image.Rect(0, 0, w/2, h/2), Red)
	Fill(img, image.Rect(w/2, 0, w, h/2), Green)
	Fill(img, image.Rect(0, h/2, w/2, h), Blue)
	Fill(img, image.Rect(w/2, h/2, w, h), Yellow)
	return img
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

// JPEG encodes a picture with quality q.
func JPEG(t testing.TB, img image.Image, q int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: q}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// WithOrientation inserts an EXIF block after the SOI marker of a JPEG.
func WithOrientation(b []byte, orientation byte) []byte {
	exif := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	exif[24] = orientation
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(out, b[2:]...)
}

// Decode decodes a variant with decoders independent of the code under test, except for AVIF, which Go cannot read.
func Decode(t testing.TB, body []byte) *image.NRGBA {
	t.Helper()
	var img image.Image
	var err error
	switch sniff.Format(body) {
	case "webp":
		img, err = webp.Decode(bytes.NewReader(body))
		img = videoRange(img)
	case "avif", "heic":
		img, err = png.Decode(bytes.NewReader(avifToPNG(t, body)))
	default:
		img, _, err = image.Decode(bytes.NewReader(body))
	}
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	out := image.NewNRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)
	return out
}

// videoRange corrects the range of a lossy WebP from x/image: its samples have the range of video (16 to 235), not of
// JPEG.
func videoRange(img image.Image) image.Image {
	var y *image.YCbCr
	alpha := func(x, y int) uint8 { return 255 }
	switch v := img.(type) {
	case *image.YCbCr:
		y = v
	case *image.NYCbCrA:
		y = &v.YCbCr
		alpha = func(x, y int) uint8 { return v.A[v.AOffset(x, y)] }
	default:
		return img
	}
	out := image.NewNRGBA(y.Bounds())
	clamp := func(v float64) uint8 { return uint8(math.Round(math.Max(0, math.Min(255, v)))) }
	for py := range out.Bounds().Dy() {
		for px := range out.Bounds().Dx() {
			c := y.YCbCrAt(px, py)
			l, cb, cr := 1.164*(float64(c.Y)-16), float64(c.Cb)-128, float64(c.Cr)-128
			out.SetNRGBA(px, py, color.NRGBA{clamp(l + 1.596*cr), clamp(l - 0.392*cb - 0.813*cr), clamp(l + 2.017*cb), alpha(px, py)})
		}
	}
	return out
}

func avifToPNG(t testing.TB, body []byte) []byte {
	t.Helper()
	var pin runtime.Pinner
	defer pin.Unpin()
	im, err := vips.Load(&pin, body, vips.Loading{Format: "avif", Strict: vips.Whole})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Free()
	b, err := im.Save(vips.Saving{Format: "png", Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
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

// cells averages a picture over an n x n grid, multiplied by alpha, as red, green and blue of each cell.
func cells(img *image.NRGBA, n int) [][3]float64 {
	out := make([][3]float64, n*n)
	count := make([]float64, n*n)
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			i, p := y*n/h*n+x*n/w, row[4*x:4*x+4]
			cell, a := &out[i], float64(p[3])/255
			cell[0] += float64(p[0]) * a
			cell[1] += float64(p[1]) * a
			cell[2] += float64(p[2]) * a
			count[i]++
		}
	}
	for i := range out {
		for c := range out[i] {
			out[i][c] /= math.Max(count[i], 1)
		}
	}
	return out
}

// Unlike returns the largest and the mean difference of two pictures' cells.
func Unlike(a, b *image.NRGBA, n int) (worst, mean float64) {
	ca, cb := cells(a, n), cells(b, n)
	for i := range ca {
		for c := range ca[i] {
			d := math.Abs(ca[i][c] - cb[i][c])
			worst = math.Max(worst, d)
			mean += d / float64(3*len(ca))
		}
	}
	return worst, mean
}

// SRGBCurve is the linear light of an sRGB sample.
func SRGBCurve(x float64) float64 {
	if x <= 0.04045 {
		return x / 12.92
	}
	return math.Pow((x+0.055)/1.055, 2.4)
}
