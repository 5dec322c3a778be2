package codec

import (
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// with draws a picture on another.
func with(on *image.NRGBA, img image.Image, x, y int) *image.NRGBA {
	draw.Draw(on, img.Bounds().Add(image.Pt(x, y)), img, image.Point{}, draw.Src)
	return on
}

// Print is sent lossless in few levels to clients that accept a format for it, if it has no shades or colours.
func TestPrintInFewLevels(t *testing.T) {
	c := mustNew(t, "")
	const old, all = variant.AcceptJPEG | variant.AcceptPNG, variant.AcceptJPEG | variant.AcceptPNG | variant.AcceptWebP | variant.AcceptAVIF
	clean, portrait := pngOf(t, scan(1500, 1100)), pngOf(t, with(scan(1500, 1100), meadow(300, 300), 1000, 300))
	small := image.NewGray(image.Rect(0, 0, 120, 120))
	draw.Draw(small, small.Rect, meadow(120, 120), image.Point{}, draw.Src)
	glass := scan(1500, 1100)
	fill(glass, image.Rect(1100, 100, 1400, 900), color.NRGBA{})
	for _, tt := range []struct {
		name     string
		original []byte
		spec     variant.Spec
		want     variant.Format // Open = not in levels
	}{
		{"AVIF and WebP", clean, variant.Spec{Format: variant.AVIF, Accepts: all}, variant.WebP},
		{"WebP", clean, variant.Spec{Format: variant.WebP, Accepts: old | variant.AcceptWebP}, variant.WebP},
		{"PNG", clean, variant.Spec{Format: variant.JPEG, Accepts: old}, variant.PNG},
		{"JPEG alone", clean, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG}, variant.Open},
		{"WebP named by the URL", clean, variant.Spec{Format: variant.WebP}, variant.WebP},
		{"AVIF named by the URL", clean, variant.Spec{Format: variant.AVIF}, variant.Open},
		{"a higher target", clean, variant.Spec{Format: variant.WebP, Class: variant.ClassHigh}, variant.WebP},
		{"q named by the URL", clean, variant.Spec{Format: variant.WebP, Quality: 60}, variant.Open},
		{"q named for a format", clean, variant.Spec{Format: variant.WebP, Accepts: all, FormatQuality: variant.Qualities{WebP: 60}}, variant.Open},
		{"said to be no print", clean, variant.Spec{Format: variant.WebP, Legible: variant.LegibleNo}, variant.Open},
		{"a size to come near to", clean, variant.Spec{Format: variant.WebP, AutoSize: variant.AutoSize{Bytes: 9000}}, variant.Open},
		{"fewer bytes than it takes", clean, variant.Spec{Format: variant.WebP, MaxBytes: 6000}, variant.Open},
		{"with a photo", portrait, variant.Spec{Format: variant.WebP, Legible: variant.LegibleYes}, variant.Open},
		{"with a small grey photo", pngOf(t, with(scan(1500, 1100), small, 1100, 300)), variant.Spec{Format: variant.WebP, Legible: variant.LegibleYes}, variant.Open},
		{"a landscape, said to be print", pngOf(t, meadow(1500, 1100)), variant.Spec{Format: variant.WebP, Legible: variant.LegibleYes}, variant.Open},
		{"with glass", pngOf(t, glass), variant.Spec{Format: variant.WebP, Legible: variant.LegibleYes}, variant.Open},
	} {
		tt.spec.Width = 750
		got := must(t, c, tt.original, tt.spec)
		levels := strings.HasPrefix(got.Note, "text in ")
		switch {
		case levels != (tt.want != variant.Open):
			t.Errorf("%s: %s of %d bytes, %q", tt.name, got.Format, len(got.Body), got.Note)
		case levels && (got.Format != tt.want || got.Quality != 0):
			t.Errorf("%s: %s at q %d, want %s without loss", tt.name, got.Format, got.Quality, tt.want)
		}
	}
}

// A variant in levels is smaller than any other encode, and close to its pixels, in either format.
func TestFewLevelsAreSmallAndNear(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, scan(1500, 1100))
	exact := decoded(t, must(t, c, original, variant.Spec{Format: variant.PNG, Width: 750}).Body)
	lossy := must(t, c, original, variant.Spec{Format: variant.AVIF, Width: 750})
	webp := must(t, c, original, variant.Spec{Format: variant.WebP, Width: 750})
	png := must(t, c, original, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG | variant.AcceptPNG, Width: 750})
	jpeg := must(t, c, original, variant.Spec{Format: variant.JPEG, Width: 750})
	if len(webp.Body) > len(lossy.Body)*8/10 || len(png.Body) > len(jpeg.Body)/2 {
		t.Errorf("WebP in levels %d bytes, AVIF %d; PNG %d, JPEG %d; want 0.8 and 0.5 of them at most", len(webp.Body), len(lossy.Body), len(png.Body), len(jpeg.Body))
	}
	few := decoded(t, webp.Body)
	if same := decoded(t, png.Body); string(same.Pix) != string(few.Pix) {
		t.Error("PNG and WebP show other pixels")
	}
	seen := map[uint8]bool{}
	for i := 0; i < len(few.Pix); i += 4 {
		seen[few.Pix[i]] = true
		if d := abs(int(few.Pix[i]) - int(exact.Pix[i])); d > 80 {
			t.Fatalf("sample %d: %d, was %d", i, few.Pix[i], exact.Pix[i])
		}
	}
	if len(seen) > 8 || !seen[255] {
		t.Errorf("%d levels, white among them %v; want 8 at most, and white paper", len(seen), seen[255])
	}
}

// softened is a page with blurred, grey edges.
func softened(img *image.NRGBA) *image.Gray {
	out := image.NewGray(img.Rect)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			sum := 0
			for i := range 9 {
				at := img.NRGBAAt(min(max(x+i%3-1, 0), img.Rect.Dx()-1), min(max(y+i/3-1, 0), img.Rect.Dy()-1))
				sum += int(at.G)
			}
			out.SetGray(x, y, color.Gray{Y: uint8(sum / 9)})
		}
	}
	return out
}

// TestManyLevelsAreAlsoTriedWithLoss makes final variants of a softly printed page. A target of 85 takes more than five
// levels, which may have more bytes than a lossy encode, so one is made too. A lower target takes few levels, which are
// sure to be smaller.
func TestManyLevelsAreAlsoTriedWithLoss(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, softened(scan(1000, 740)))
	for target, lossy := range map[float64]bool{80: false, 85: true} {
		lim := testLimits
		lim.Quality.High = target
		specs := []variant.Spec{{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptWebP | variant.AcceptJPEG,
			Class: variant.ClassHigh, Legible: variant.LegibleYes, Width: 500}}
		err := c.Transform(variant.Original{Body: original}, specs, variant.StageFinal, lim, func(_ int, made variant.Image, err error) {
			if err != nil {
				t.Fatal(err)
			}
			tried := made.Choice.Tried
			if !strings.HasPrefix(tried, "webp lossless ") || strings.Contains(tried, "avif q") != lossy {
				t.Errorf("target %v: %s, %s; want one with loss %v", target, made.Note, tried, lossy)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// console is a dark screen with letters in seven colours. In a few grey levels it would lose them.
func console(width, height int) *image.NRGBA {
	page := scan(width, height)
	inks := []color.NRGBA{
		{210, 210, 205, 255}, {90, 200, 120, 255}, {230, 180, 60, 255}, {150, 120, 250, 255},
		{240, 90, 70, 255}, {60, 160, 220, 255}, {190, 70, 170, 255},
	}
	for y := range height {
		for x := range width {
			if page.NRGBAAt(x, y).G < 128 {
				page.SetNRGBA(x, y, inks[y/50%len(inks)])
			} else {
				page.SetNRGBA(x, y, color.NRGBA{20, 20, 30, 255})
			}
		}
	}
	return page
}

// TestColouredPrintInAPalette makes a screen with letters in few colours for each client. The palette must be smaller
// than a lossy encode, and keep the target.
func TestColouredPrintInAPalette(t *testing.T) {
	c := mustShare(t, EngineVips)
	const old = variant.AcceptJPEG | variant.AcceptPNG
	const webp, avif = old | variant.AcceptWebP, old | variant.AcceptWebP | variant.AcceptAVIF
	screen := pngOf(t, console(750, 550))
	for name, tt := range map[string]struct {
		original []byte
		spec     variant.Spec
		want     variant.Format // Open = not in a palette
	}{
		"AVIF and WebP": {screen, variant.Spec{Format: variant.AVIF, Accepts: avif}, variant.WebP},
		"WebP":          {screen, variant.Spec{Format: variant.WebP, Accepts: webp}, variant.WebP},
		"PNG":           {screen, variant.Spec{Format: variant.JPEG, Accepts: old}, variant.PNG},
		"JPEG alone":    {screen, variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG}, variant.Open},
		"q named":       {screen, variant.Spec{Format: variant.JPEG, Accepts: old, Quality: 60}, variant.Open},
	} {
		tt.spec.Legible = variant.LegibleYes
		made := final(t, c, tt.original, tt.spec)
		in := strings.HasPrefix(made.Note, "a palette")
		switch {
		case in != (tt.want != variant.Open):
			t.Errorf("%s: %s, %s, %s", name, made.Format, made.Note, made.Choice.Tried)
		case in && (made.Format != tt.want || made.Quality != 0 || made.Choice.Score < 69.5):
			t.Errorf("%s: %s of q %d, score %.1f", name, made.Format, made.Quality, made.Choice.Score)
		}
		if in {
			tt.spec.Accepts = 0
			if lossy := final(t, c, tt.original, tt.spec); len(made.Body) >= len(lossy.Body) {
				t.Errorf("%s: %d bytes, with loss %d", name, len(made.Body), len(lossy.Body))
			}
		}
	}
}

// TestNoLosslessWebPWhereTheURLNamesItsQuality makes pages that would be WebPs in a palette and in few levels.
func TestNoLosslessWebPWhereTheURLNamesItsQuality(t *testing.T) {
	c := mustShare(t, EngineVips)
	const accepts = variant.AcceptAVIF | variant.AcceptWebP
	spec := variant.Spec{Format: variant.AVIF, Accepts: accepts, Legible: variant.LegibleYes}
	for _, page := range []*image.NRGBA{console(750, 550), scan(750, 550)} {
		original := pngOf(t, page)
		if made := final(t, c, original, spec); made.Format != variant.WebP || made.Quality != 0 {
			t.Errorf("no quality named: %s of q %d", made.Format, made.Quality)
		}
		named := spec
		named.FormatQuality.WebP = 30
		if made := final(t, c, original, named); made.Format != variant.AVIF {
			t.Errorf("30 named for WebP: %s of q %d, %s", made.Format, made.Quality, made.Note)
		}
	}
}

// TestNoPaletteWhereEdgesCostMore makes a screen with faint dots everywhere, which a lossy encode does not keep. Without
// loss they would take most of the bytes.
func TestNoPaletteWhereEdgesCostMore(t *testing.T) {
	c := mustShare(t, EngineVips)
	screen := console(750, 550)
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(screen.Pix); i += 4 * (1 + random.IntN(14)) {
		for k := range 3 {
			screen.Pix[i+k] ^= byte(random.IntN(16))
		}
	}
	spec := variant.Spec{Format: variant.WebP, Accepts: variant.AcceptWebP, Legible: variant.LegibleYes}
	made := final(t, c, pngOf(t, screen), spec)
	if _, after, lossy := strings.Cut(made.Choice.Tried, " q"); !lossy || strings.Contains(after, "lossless") {
		t.Errorf("tried %s", made.Choice.Tried)
	}
}

// TestPalettesKeepAlpha makes a coloured screen with a transparent border.
func TestPalettesKeepAlpha(t *testing.T) {
	c := mustShare(t, EngineVips)
	screen := console(750, 550)
	fill(screen, image.Rect(0, 0, 750, 100), color.NRGBA{})
	spec := variant.Spec{Format: variant.WebP, Accepts: variant.AcceptWebP, Legible: variant.LegibleYes}
	made := final(t, c, pngOf(t, screen), spec)
	got := decoded(t, made.Body)
	clear, solid := got.NRGBAAt(300, 50).A, got.NRGBAAt(300, 300).A
	if !strings.HasPrefix(made.Note, "a palette") || clear != 0 || solid != 255 {
		t.Errorf("%s, %s: alpha %d and %d", made.Note, made.Choice.Tried, clear, solid)
	}
}

// TestFirstLevelsAreMeasured has a newspaper of dots, for which the model predicts that four levels keep the target.
// They come to 60 in the worst part.
func TestFirstLevelsAreMeasured(t *testing.T) {
	c := mustShare(t, EngineVips)
	spec := variant.Spec{Format: variant.WebP, Accepts: variant.AcceptWebP, Width: 800, Height: 2400}
	original := variant.Original{Body: readCorpus(t, "photos", "fax-g4.tif")}
	specs := []variant.Spec{spec}
	err := c.Transform(original, specs, variant.StageFirst, testLimits, func(_ int, made variant.Image, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if made.Choice.Score < 67 {
			t.Errorf("score %.1f: %s, %s", made.Choice.Score, made.Note, made.Choice.Tried)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
