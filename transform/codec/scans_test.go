package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
	"golang.org/x/image/tiff"
)

// shades is a palette of n greys, from white to black.
func shades(n int) color.Palette {
	var p color.Palette
	for i := range n {
		p = append(p, color.Gray{uint8(255 - 255*i/(n-1))})
	}
	return p
}

// newspaper is a page in black and white, as from a fax or a page scanner: columns of print and a halftone picture.
func newspaper(w, h int) *image.Paletted {
	page := scan(w, h)
	out := image.NewPaletted(page.Rect, shades(2))
	draw.Draw(out, out.Rect, page, image.Point{}, draw.Src)
	for y := h / 3; y < h*2/3; y++ {
		for x := w / 4; x < w*3/4; x++ {
			light := 128 + 90*math.Sin(float64(x)/80)*math.Cos(float64(y)/60)
			dots := 128 + 60*(math.Cos(float64(x+y))+math.Cos(float64(x-y)))
			out.SetColorIndex(x, y, 0)
			if light < dots {
				out.SetColorIndex(x, y, 1)
			}
		}
	}
	return out
}

// dithered is a photo in the given number of greys, with error diffusion.
func dithered(w, h, greys int) *image.Paletted {
	out := image.NewPaletted(image.Rect(0, 0, w, h), shades(greys))
	draw.FloydSteinberg.Draw(out, out.Rect, meadow(w, h), image.Point{})
	return out
}

// marks are random rectangles of a few greys: forms, diagrams, codes.
func marks(w, h, greys, side int, random *rand.Rand) *image.Paletted {
	out := image.NewPaletted(image.Rect(0, 0, w, h), shades(greys))
	for range w * h / side / side / 6 {
		x, y := random.IntN(w), random.IntN(h)
		r := image.Rect(x, y, x+1+random.IntN(2*side), y+1+random.IntN(2*side))
		draw.Draw(out, r, image.NewUniform(out.Palette[random.IntN(greys)]), image.Point{}, draw.Src)
	}
	return out
}

func scanTIFF(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tiff.Encode(&b, img, &tiff.Options{Compression: tiff.Deflate}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Scans in few levels turn grey when they are scaled down, and greys need more bytes than the removed pixels. No
// variant is larger than its original.
func TestScansAreNeverLarger(t *testing.T) {
	c := mustNew(t, "")
	random := rand.New(rand.NewPCG(3, 5))
	const old = variant.AcceptJPEG | variant.AcceptPNG
	clients := map[string]variant.Spec{
		"AVIF":       {Format: variant.AVIF, Accepts: old | variant.AcceptWebP | variant.AcceptAVIF},
		"WebP":       {Format: variant.WebP, Accepts: old | variant.AcceptWebP},
		"any":        {Format: variant.JPEG, Accepts: old},
		"JPEG alone": {Format: variant.JPEG, Accepts: variant.AcceptJPEG},
	}
	originals := map[string][]byte{
		"newspaper":        pngOf(t, newspaper(640, 900)),
		"newspaper, TIFF":  scanTIFF(t, newspaper(640, 900)),
		"dithered":         pngOf(t, dithered(500, 400, 2)),
		"dithered, 4":      pngOf(t, dithered(500, 400, 4)),
		"form in 3 greys":  pngOf(t, marks(600, 500, 3, 40, random)),
		"small marks":      pngOf(t, marks(500, 400, 2, 6, random)),
		"marks in 8 greys": pngOf(t, marks(500, 500, 8, 12, random)),
	}
	for name, original := range originals {
		for client, spec := range clients {
			for _, w := range []int{400, 480} {
				for _, stage := range []variant.Stage{variant.StageFirst, variant.StageFinal} {
					spec.Width = w
					img := stagedOne(t, c, original, spec, stage)
					if spec.Accepts == variant.AcceptJPEG && len(original) < 4096 && strings.Contains(img.Note, "larger than the original") {
						continue // JPEG has no encode with so few bytes, and the note says so.
					}
					if len(img.Body) > len(original) {
						t.Errorf("%s for %s at %d, stage %v: %d bytes of %d (%s; tried %s)", name, client, w, stage, len(img.Body), len(original), img.Note,
							img.Choice.Tried)
					}
				}
			}
		}
	}
}

func stagedOne(t *testing.T, c *Codec, original []byte, spec variant.Spec, stage variant.Stage) (img variant.Image) {
	t.Helper()
	err := c.Transform(variant.Original{Body: original}, []variant.Spec{spec}, stage, testLimits, func(_ int, made variant.Image, err error) {
		if img = made; err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// A page that cannot keep its target is sent in levels that keep it legible, and its note says so.
func TestScansSayWhatTheyGaveUp(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, newspaper(1000, 1400))
	for _, tt := range []struct {
		accepts variant.FormatSet
		levels  bool
	}{
		{acceptAny, true}, {variant.AcceptJPEG, false},
	} {
		img := must(t, c, original, variant.Spec{Format: variant.JPEG, Accepts: tt.accepts, Width: 800})
		if len(img.Body) > len(original) || !strings.Contains(img.Note, "below the target") || strings.Contains(img.Note, "levels") != tt.levels {
			t.Errorf("accepts %v: %d bytes of %d, %s", tt.accepts, len(img.Body), len(original), img.Note)
		}
	}
}

// Rings of changing period: no encode of so many details is as small as the PNG of the formula, so the picture is
// blurred.
func TestNeverLargerWhateverItTakes(t *testing.T) {
	page := image.NewPaletted(image.Rect(0, 0, 1000, 1400), shades(2))
	for y := range 1400 {
		for x := range 1000 {
			if (x*x+y*y)/1500%2 == 0 {
				page.SetColorIndex(x, y, 1)
			}
		}
	}
	original := pngOf(t, page)
	spec := variant.Spec{Format: variant.AVIF, Width: 900, Accepts: variant.AcceptAVIF | variant.AcceptWebP | variant.AcceptJPEG | variant.AcceptPNG}
	img := must(t, mustNew(t, ""), original, spec)
	if len(img.Body) > len(original) || !strings.Contains(img.Note, "below the target and the floor") {
		t.Errorf("%d bytes of %d, %s", len(img.Body), len(original), img.Note)
	}
}

// A picture whose file is smaller than the header of any accepted format is the only one sent larger, and its note says
// so.
func TestNeverLargerHasItsLimit(t *testing.T) {
	img := image.NewPaletted(image.Rect(0, 0, 200, 200), shades(2))
	draw.Draw(img, image.Rect(50, 50, 120, 120), image.Black, image.Point{}, draw.Src)
	original := pngOf(t, img)
	got := must(t, mustNew(t, ""), original, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG, Width: 150})
	if len(got.Body) <= len(original) || !strings.Contains(got.Note, "larger than the original") {
		t.Errorf("%d bytes of %d, %s", len(got.Body), len(original), got.Note)
	}
}
