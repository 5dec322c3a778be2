package codec

import (
	"bytes"
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/variant"
)

func TestKindsAreSeen(t *testing.T) {
	c := mustNew(t, "")
	flat := image.NewNRGBA(image.Rect(0, 0, 600, 400))
	fill(flat, flat.Bounds(), color.NRGBA{240, 244, 250, 255})
	fill(flat, image.Rect(40, 40, 300, 200), blue)
	fill(flat, image.Rect(350, 120, 560, 360), red)
	for name, tt := range map[string]struct {
		img  image.Image
		spec variant.Spec
		want look.Kind
	}{
		"print":                         {page(700, 500), variant.Spec{}, look.Text},
		"print, said to be none":        {page(700, 500), variant.Spec{Legible: variant.LegibleNo}, look.Photo},
		"a landscape":                   {meadow(700, 500), variant.Spec{}, look.Photo},
		"a landscape, said to be print": {meadow(700, 500), variant.Spec{Legible: variant.LegibleYes}, look.Text},
		"plain areas":                   {flat, variant.Spec{}, look.Graphic},
	} {
		tt.spec.Format = variant.JPEG
		if got := must(t, c, pngOf(t, tt.img), tt.spec); got.Choice.Kind != string(tt.want) || got.Choice.Probe <= 0 {
			t.Errorf("%s is taken for %s (%+v), want %s", name, got.Choice.Kind, got.Choice, tt.want)
		}
	}
	tiny := must(t, c, pngOf(t, page(60, 40)), variant.Spec{Format: variant.JPEG})
	if tiny.Choice.Kind != "" || tiny.Quality != 64 {
		t.Errorf("a picture of a few tiles: %+v at q %d, want the table's q and no look", tiny.Choice, tiny.Quality)
	}
	if asked := must(t, c, pngOf(t, page(700, 500)), variant.Spec{Format: variant.AVIF, Quality: 50}); asked.Choice.Kind != "" || asked.Quality != 50 {
		t.Errorf("a q that was asked for: %+v at q %d, want nobody to look", asked.Choice, asked.Quality)
	}
}

// The documents and photos of the corpus get the right kind.
func TestKindsOfTheCorpus(t *testing.T) {
	c := mustNew(t, "")
	for file, text := range map[string]bool{
		"receipt-thermal.jpg": true, "receipt-tall.jpg": true, "receipt-a4-35mp.jpg": true, "fax-g4.tif": true,
		"faces-progressive.jpg": false, "truck-street.jpg": false, "groceries.jpg": false, "cardinal.jpg": false, "portrait-adobergb.jpg": false,
	} {
		img := must(t, c, readCorpus(t, "photos", file), variant.Spec{Format: variant.JPEG, Width: 700})
		if got := look.Kind(img.Choice.Kind).Legible(); got != text {
			t.Errorf("%s is taken for %s (print %.2f)", file, img.Choice.Kind, img.Choice.Print)
		}
	}
}

// Print is judged by the size of its letters in the variant, and small letters keep their quality on slow networks.
func TestSmallPrintKeepsItsQuality(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, page(1400, 1000))
	for width, want := range map[int]float64{1400: 60, 840: 72} {
		got := must(t, c, original, variant.Spec{Format: variant.JPEG, Width: width, Class: variant.ClassSaver})
		if got.Choice.Kind != string(look.Text) || got.Choice.Target != want {
			t.Errorf("%d pixels wide: %+v, want print with the target %g", width, got.Choice, want)
		}
	}
}

// A slow network bounds dpr, but never the pixels of print.
func TestPrintKeepsItsPixels(t *testing.T) {
	c := mustNew(t, "")
	client := variant.Accept{Best: variant.JPEG, Formats: variant.AcceptJPEG}
	for _, tt := range []struct {
		name string
		img  image.Image
		spec variant.Spec
		want int
	}{
		{"print, 2g", page(900, 700), variant.Spec{Net: variant.Net2G}, 800},
		{"print, 3g", page(900, 700), variant.Spec{Net: variant.Net3G}, 800},
		{"print, said to be none", page(900, 700), variant.Spec{Net: variant.Net2G, Legible: variant.LegibleNo}, 400},
		{"landscape, 2g", meadow(900, 700), variant.Spec{Net: variant.Net2G}, 400},
		{"landscape, 3g", meadow(900, 700), variant.Spec{Net: variant.Net3G}, 600},
		{"landscape, 4g", meadow(900, 700), variant.Spec{Net: variant.Net4G}, 800},
		{"landscape, said to be print", meadow(900, 700), variant.Spec{Net: variant.Net2G, Legible: variant.LegibleYes}, 800},
	} {
		tt.spec.Width, tt.spec.DPR = 400, 2
		if got := must(t, c, pngOf(t, tt.img), tt.spec.Resolve(client)); got.Width != tt.want {
			t.Errorf("%s: %d pixels wide, want %d", tt.name, got.Width, tt.want)
		}
	}
}

// A drawing of plain areas is smaller without loss, and is then sent lossless; only for open URLs.
func TestFlatDrawingsGoLossless(t *testing.T) {
	c := mustNew(t, "")
	img := image.NewNRGBA(image.Rect(0, 0, 640, 400))
	fill(img, img.Bounds(), color.NRGBA{250, 250, 250, 255})
	for i := range 12 {
		fill(img, image.Rect(20+50*i, 60+10*i, 50+50*i, 380), color.NRGBA{uint8(20 * i), 90, uint8(240 - 20*i), 255})
	}
	original := pngOf(t, img)
	for name, tt := range map[string]struct {
		spec variant.Spec
		want variant.Format
	}{
		"webp client": {variant.Spec{Format: variant.WebP, Accepts: variant.AcceptWebP | variant.AcceptJPEG | variant.AcceptPNG}, variant.WebP},
		"avif client": {variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptWebP | variant.AcceptJPEG | variant.AcceptPNG}, variant.WebP},
		"old client":  {variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptJPEG | variant.AcceptPNG}, variant.PNG},
	} {
		got := must(t, c, original, tt.spec)
		if got.Format != tt.want || got.Quality != 0 || !bytes.Equal(decoded(t, got.Body).Pix, img.Pix) {
			t.Errorf("%s: %s at q %d (%s; %s), want exact %s", name, got.Format, got.Quality, got.Note, got.Choice.Tried, tt.want)
		}
	}
	if got := must(t, c, original, variant.Spec{Format: variant.WebP}); got.Quality == 0 {
		t.Errorf("a URL that names WebP got it without loss (%s)", got.Note)
	}
}
