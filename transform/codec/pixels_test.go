package codec

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

	"golang.org/x/image/webp"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// Short names for codectest.
var (
	abs        = codectest.Abs
	black      = codectest.Black
	blue       = codectest.Blue
	clip       = codectest.Clip
	corpus     = codectest.Corpus
	fill       = codectest.Fill
	gifOf      = codectest.GIF
	green      = codectest.Green
	testLimits = codectest.Limits
	meadow     = codectest.Meadow
	movie      = codectest.Movie
	near       = codectest.Near
	noise      = codectest.Noise
	none       = codectest.None
	opaque     = codectest.Opaque
	pngOf      = codectest.PNG
	page       = codectest.Page
	patch      = codectest.Patch
	readCorpus = codectest.ReadCorpus
	red        = codectest.Red
	srgbCurve  = codectest.SRGBCurve
	scan       = codectest.Scan
	scene      = codectest.Scene
	white      = codectest.White
	yellow     = codectest.Yellow
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

// quarters draws red, green / blue, yellow.
func quarters(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	fill(img, image.Rect(0, 0, w/2, h/2), red)
	fill(img, image.Rect(w/2, 0, w, h/2), green)
	fill(img, image.Rect(0, h/2, w/2, h), blue)
	fill(img, image.Rect(w/2, h/2, w, h), yellow)
	return img
}

// jpegOf encodes a picture with quality q.
func jpegOf(t testing.TB, img image.Image, q int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: q}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withOrientation inserts an EXIF block after the SOI marker of a JPEG.
func withOrientation(b []byte, orientation byte) []byte {
	exif := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	exif[24] = orientation
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(out, b[2:]...)
}

// decoded decodes a variant with decoders independent of the code under test, except for AVIF and JPEG
// XL, which Go cannot read.
func decoded(t testing.TB, body []byte) *image.NRGBA {
	t.Helper()
	var img image.Image
	var err error
	switch format := sniff.Format(body); format {
	case "webp":
		img, err = webp.Decode(bytes.NewReader(body))
		img = videoRange(img)
	case "avif", "heic", "jxl":
		img, err = png.Decode(bytes.NewReader(toPNG(t, format, body)))
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

func toPNG(t testing.TB, format string, body []byte) []byte {
	t.Helper()
	var pin runtime.Pinner
	defer pin.Unpin()
	im, err := vips.Load(&pin, body, vips.Loading{Format: format, Strict: vips.Whole})
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

// unlike returns the largest and the mean difference of two pictures' cells.
func unlike(a, b *image.NRGBA, n int) (worst, mean float64) {
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
