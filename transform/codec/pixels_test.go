package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"runtime"
	"testing"

	"golang.org/x/image/webp"

	"github.com/goldcrest/goldcrest/sniff"
)

var (
	red    = color.NRGBA{220, 30, 30, 255}
	green  = color.NRGBA{30, 200, 30, 255}
	blue   = color.NRGBA{30, 30, 220, 255}
	yellow = color.NRGBA{230, 220, 40, 255}
	white  = color.NRGBA{255, 255, 255, 255}
	black  = color.NRGBA{0, 0, 0, 255}
	none   = color.NRGBA{}
)

// fill draws a rectangle.
func fill(img *image.NRGBA, r image.Rectangle, c color.NRGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
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

// noise draws a picture that no encoder makes small; the same for the same seed.
func noise(w, h int, seed uint32) *image.NRGBA {
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

// scene draws soft shapes that encoders do well on.
func scene(w, h int) *image.NRGBA {
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

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, img image.Image, q int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: q}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withOrientation puts an EXIF block behind the SOI of a JPEG.
func withOrientation(b []byte, orientation byte) []byte {
	exif := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	exif[24] = orientation
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(out, b[2:]...)
}

// decode reads an answer with decoders that have nothing to do with the code under test, except for AVIF, which Go
// cannot read.
func decode(t testing.TB, body []byte) *image.NRGBA {
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

// videoRange repairs what x/image says of a lossy WebP: its samples have the range of video (16 to 235), not of JPEG.
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
	im, err := load(&pin, body, loading{kind: loaders["avif"], strict: whole})
	if err != nil {
		t.Fatal(err)
	}
	defer im.free()
	b, err := im.save(settings{lossless: true}.options("png"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// near reports whether two colours differ by at most d in each channel; of clear pixels only the alpha counts.
func near(a, b color.NRGBA, d int) bool {
	if abs(int(a.A)-int(b.A)) > d {
		return false
	}
	if b.A == 0 {
		return true
	}
	return abs(int(a.R)-int(b.R)) <= d && abs(int(a.G)-int(b.G)) <= d && abs(int(a.B)-int(b.B)) <= d
}

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

// cells averages a picture over an n x n grid, alpha multiplied in, as red, green and blue of each cell.
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

// unlike is the largest and the mean difference of two pictures' cells.
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
