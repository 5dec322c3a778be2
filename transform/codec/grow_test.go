package codec

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// meanJPEG is a JPEG that no encode of it can be smaller than: noise at a very low quality, by the same encoder.
func meanJPEG(t *testing.T) []byte {
	return must(t, mustNew(t, ""), pngOf(t, noise(400, 300, 9)), variant.Spec{Format: variant.JPEG, Quality: 4}).Body
}

func TestNeverLarger(t *testing.T) {
	c := mustNew(t, "")
	mean := meanJPEG(t)
	open := variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG}
	with := func(f func(*variant.Spec)) variant.Spec { s := open; f(&s); return s }
	tests := []struct {
		name     string
		original []byte
		spec     variant.Spec
		passed   bool
	}{
		{"nothing changes", mean, open, true},
		{"a box not smaller", mean, with(func(s *variant.Spec) { s.Width = 5000 }), true},
		{"a filled box of the same size", mean, with(func(s *variant.Spec) { s.Resize, s.Width, s.Height = variant.Fill, 400, 300 }), true},
		{"concrete format", mean, variant.Spec{Format: variant.JPEG}, false},
		{"quality", mean, with(func(s *variant.Spec) { s.Quality = 80 }), false},
		{"enlarge", mean, with(func(s *variant.Spec) { s.Enlarge = true }), false},
		{"crop", mean, with(func(s *variant.Spec) { s.Crop.Width = 399 }), false},
		{"blur", mean, with(func(s *variant.Spec) { s.Blur = .3 }), false},
		{"background", mean, with(func(s *variant.Spec) { s.Background.Set = true }), false},
		{"rotation", mean, with(func(s *variant.Spec) { s.Rotate = 90 }), false},
		{"padding", mean, with(func(s *variant.Spec) { s.Padding.Left = 1 }), false},
		{"trim", mean, with(func(s *variant.Spec) { s.Trim = variant.Trim{On: true} }), false},
		{"orientation", withOrientation(mean, 6), open, false},
		{"orientation kept off", withOrientation(mean, 6), with(func(s *variant.Spec) { s.KeepOrientation = true }), false},
		{"orientation 1 said", withOrientation(mean, 1), open, true},
		{"cut off at the end", mean[:len(mean)-2], open, false},
	}
	for _, tt := range tests {
		img := must(t, c, tt.original, tt.spec)
		if got := strings.HasPrefix(img.Note, "passed through"); got != tt.passed {
			t.Errorf("%s: passed through %v, want %v (%s)", tt.name, got, tt.passed, img.Note)
		}
		if tt.passed && (len(img.Body) > len(tt.original) || !bytes.Equal(decoded(t, img.Body).Pix, decoded(t, tt.original).Pix)) {
			t.Errorf("%s: the bytes passed through are larger or other pixels", tt.name)
		}
	}
}

func TestNeverLargerTriesOtherFormatsFirst(t *testing.T) {
	c := mustNew(t, "")
	// A lossless drawing is smaller as PNG than as the JPEG that the client would get.
	img := image.NewNRGBA(image.Rect(0, 0, 300, 300))
	for i := range 15 {
		fill(img, image.Rect(20*i, 0, 20*i+10, 300), red)
	}
	fill(img, image.Rect(0, 0, 300, 8), blue)
	img = opaque(img)
	original := pngOf(t, img)
	got := must(t, c, original, variant.Spec{Format: variant.JPEG, Accepts: acceptAny})
	if len(got.Body) > len(original) || got.Format != variant.PNG {
		t.Errorf("a drawing of %d bytes: %d bytes of %s (%s), want no more, as PNG", len(original), len(got.Body), got.Format, got.Note)
	}
	// A JPEG of moderate quality: with the class's q the variant would be larger, with a lower one it is not.
	grain := noise(300, 200, 4)
	own := must(t, c, pngOf(t, grain), variant.Spec{Format: variant.JPEG, Legible: variant.LegibleNo}).Quality
	photo := jpegOf(t, grain, own-12)
	got = must(t, c, photo, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG, Legible: variant.LegibleNo})
	if len(got.Body) >= len(photo) || got.Quality == 0 || got.Quality >= got.Choice.Predicted {
		t.Errorf("a JPEG of %d bytes: %d bytes at q %d (%s), want fewer at a lower q", len(photo), len(got.Body), got.Quality, got.Note)
	}
}

// A drawing with alpha whose original has a palette: true colours would be larger.
func TestNeverLargerFallsBackToAPalette(t *testing.T) {
	c := mustNew(t, "")
	img := image.NewNRGBA(image.Rect(0, 0, 900, 900))
	for i := range 60 {
		fill(img, image.Rect(7*i, 11*i, 7*i+60, 11*i+200), color.NRGBA{uint8(4 * i), 90, uint8(250 - 4*i), 255})
	}
	original := must(t, c, pngOf(t, img), variant.Spec{Format: variant.PNG, Quality: 90}).Body
	open := variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG | variant.AcceptPNG, Width: 700}
	got := must(t, c, original, open)
	exact := must(t, c, original, variant.Spec{Format: variant.PNG, Width: 700})
	if got.Format != variant.PNG || got.Quality == 0 || len(got.Body) >= len(exact.Body)*2/3 {
		t.Errorf("%d bytes of %s at q %d (tried %s), without a palette %d", len(got.Body), got.Format, got.Quality, got.Choice.Tried, len(exact.Body))
	}
	if _, _, _, a := decoded(t, got.Body).At(699, 2).RGBA(); a != 0 {
		t.Errorf("a clear corner has alpha %d", a)
	}
}

// Discs with hard edges, which compress to almost nothing. Scaled, they have soft edges, and need one of the coarser
// palettes.
func TestNeverLargerCoarsensThePalette(t *testing.T) {
	c := mustNew(t, "")
	img := image.NewNRGBA(image.Rect(0, 0, 900, 900))
	for i, col := range []color.NRGBA{{230, 60, 60, 200}, {60, 170, 80, 200}, {60, 90, 220, 200}} {
		for y := range 900 {
			for x := range 900 {
				if math.Hypot(float64(x-300-150*i), float64(y-300-100*i)) < 250 {
					img.SetNRGBA(x, y, col)
				}
			}
		}
	}
	original := pngOf(t, img)
	got := must(t, c, original, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG | variant.AcceptPNG, Width: 600})
	if got.Format != variant.PNG || got.Quality == 0 || got.Quality >= 100 || len(got.Body) >= len(original) {
		t.Errorf("%d bytes of %s at q %d (tried %s, %s), want fewer than the original's %d", len(got.Body), got.Format, got.Quality, got.Choice.Tried, got.Note, len(original))
	}
}

// A screen of small print and colours whose PNG is smaller than any JPEG of it: old clients get a palette, which is
// also sharper.
func TestNeverLargerGivesScreensAPalette(t *testing.T) {
	c := mustNew(t, "")
	img := scan(1200, 900)
	for i := range 20 { // More colours than few levels can distinguish.
		fill(img, image.Rect(900, 45*i, 1190, 45*i+40), color.NRGBA{uint8(12 * i), uint8(230 - 9*i), uint8(60 + 37*i%190), 255})
	}
	original := pngOf(t, img)
	jpeg := must(t, c, original, variant.Spec{Format: variant.JPEG, Width: 800})
	got := must(t, c, original, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG | variant.AcceptPNG, Width: 800})
	if got.Format != variant.PNG || len(got.Body) >= min(len(jpeg.Body), len(original)) {
		t.Errorf("%d bytes of %s (tried %s; %s), want a PNG of fewer than the JPEG's %d and the original's %d", len(got.Body), got.Format, got.Choice.Tried, got.Note,
			len(jpeg.Body), len(original))
	}
}

// TestPassThroughByFormat uses a file with metadata in each format that may be passed through. The file is smaller than
// any encode.
func TestPassThroughByFormat(t *testing.T) {
	c := mustNew(t, "")
	tiny := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	fill(tiny, tiny.Bounds(), blue)
	for f, bit := range map[variant.Format]variant.FormatSet{variant.PNG: variant.AcceptPNG, variant.WebP: variant.AcceptWebP, variant.GIF: variant.AcceptGIF} {
		q := uint8(1)
		if f != variant.WebP {
			q = 0
		}
		original := must(t, c, pngOf(t, tiny), variant.Spec{Format: f, Quality: q}).Body
		got := must(t, c, original, variant.Spec{Format: f, Accepts: bit})
		if len(got.Body) > len(original) || got.Format != f {
			t.Errorf("%s of %d bytes: %d bytes of %s (%s)", f, len(original), len(got.Body), got.Format, got.Note)
		}
	}
}

func TestBytesAfterTheEndAreNotPassedOn(t *testing.T) {
	c := mustNew(t, "")
	original := append(meanJPEG(t), "<script>alert(1)</script>"...)
	img := must(t, c, original, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG})
	if !strings.HasPrefix(img.Note, "passed through") || bytes.Contains(img.Body, []byte("script")) {
		t.Errorf("%s; body holds the tail: %v", img.Note, bytes.Contains(img.Body, []byte("script")))
	}
	if in, err := sniff.Inspect(img.Body); err != nil || !in.Complete {
		t.Errorf("what was passed through: %+v, %v", in, err)
	}
}
