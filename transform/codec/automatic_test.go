package codec

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/variant"
)

// mustTraits are what a picture is like as spec renders it.
func mustTraits(t *testing.T, c *Codec, original []byte, spec variant.Spec) Traits {
	t.Helper()
	r, err := c.Raster(original, spec, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Free()
	traits, err := r.Traits()
	if err != nil {
		t.Fatal(err)
	}
	return traits
}

// page is a sheet of small print on tinted paper, with some grain as a scanner leaves it.
func page(w, h int) *image.NRGBA {
	img := noise(w, h, 7)
	for i := 0; i < len(img.Pix); i += 4 {
		for b := range 3 {
			img.Pix[i+b] = 236 + img.Pix[i+b]/32
		}
	}
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.NRGBA{30, 30, 40, 255}), Face: basicfont.Face7x13}
	for y := 20; y < h-8; y += 17 {
		d.Dot = fixed.P(14, y)
		for d.Dot.X.Ceil() < w-80 {
			d.DrawString("total 12.50 EUR ")
		}
	}
	return img
}

// meadow is a landscape: hills of soft light and strong colours, with leaves of many sizes in front.
func meadow(w, h int) *image.NRGBA {
	img, grain := image.NewNRGBA(image.Rect(0, 0, w, h)), noise(w/8+1, h/8+1, 3)
	for y := range h {
		for x := range w {
			i := img.PixOffset(x, y)
			fx, fy := float64(x), float64(y)
			leaf := float64(grain.Pix[grain.PixOffset(x/8, y/8)]) - 128
			light := 120 + 60*math.Sin(fx/90)*math.Cos(fy/70) + leaf*fy/float64(h)/4*math.Sin(fx/5)*math.Sin(fy/6)
			img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = clip(light*0.5+fy/9), clip(light), clip(light*0.2), 255
		}
	}
	return img
}

func clip(v float64) uint8 { return uint8(math.Max(0, math.Min(255, v))) }

func TestKindsAreSeen(t *testing.T) {
	c := mustNew(t, "")
	flat := image.NewNRGBA(image.Rect(0, 0, 600, 400))
	fill(flat, flat.Bounds(), color.NRGBA{240, 244, 250, 255})
	fill(flat, image.Rect(40, 40, 300, 200), blue)
	fill(flat, image.Rect(350, 120, 560, 360), red)
	for name, tt := range map[string]struct {
		img  image.Image
		spec variant.Spec
		want Kind
	}{
		"print":                         {page(700, 500), variant.Spec{}, Text},
		"print, said to be none":        {page(700, 500), variant.Spec{Legible: variant.LegibleNo}, Photo},
		"a landscape":                   {meadow(700, 500), variant.Spec{}, Photo},
		"a landscape, said to be print": {meadow(700, 500), variant.Spec{Legible: variant.LegibleYes}, Text},
		"plain areas":                   {flat, variant.Spec{}, Graphic},
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

// The documents and photos of the corpus are told apart.
func TestKindsOfTheCorpus(t *testing.T) {
	c := mustNew(t, "")
	for file, text := range map[string]bool{
		"receipt-thermal.jpg": true, "receipt-tall.jpg": true, "receipt-a4-35mp.jpg": true, "fax-g4.tif": true,
		"faces-progressive.jpg": false, "truck-street.jpg": false, "groceries.jpg": false, "cardinal.jpg": false, "portrait-adobergb.jpg": false,
	} {
		img := must(t, c, readCorpus(t, "photos", file), variant.Spec{Format: variant.JPEG, Width: 700})
		if got := Kind(img.Choice.Kind).legible(); got != text {
			t.Errorf("%s is taken for %s (print %.2f)", file, img.Choice.Kind, img.Choice.Print)
		}
	}
}

// A slow line bounds dpr, but never the pixels of print.
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

func TestTargets(t *testing.T) {
	w := wish{}
	for _, tt := range []struct {
		class   variant.Class
		kind    Kind
		quality transform.Quality
		want    float64
	}{
		{variant.ClassNormal, Photo, transform.Quality{}, 70},
		{variant.ClassHigh, Photo, transform.Quality{}, 80},
		{variant.ClassSaver, Photo, transform.Quality{}, 50},
		{variant.ClassSaver, Text, transform.Quality{}, 60},
		{variant.ClassSaver, Mixed, transform.Quality{}, 60},
		{variant.ClassSaver, Graphic, transform.Quality{}, 50},
		{variant.ClassNormal, Text, transform.Quality{High: 80, Normal: 55, Saver: 45, TextFloor: 65}, 65},
		{variant.ClassSaver, Photo, transform.Quality{High: 80, Normal: 55, Saver: 45, TextFloor: 65}, 45},
	} {
		w.spec.Class, w.targets = tt.class, tt.quality
		if got := target(w, tt.kind); got != tt.want {
			t.Errorf("class %d, %s, %+v: target %g, want %g", tt.class, tt.kind, tt.quality, got, tt.want)
		}
	}
}

// A higher target never asks for a lower q, for either set of libraries, every coder and both groups.
func TestQRisesWithTheTarget(t *testing.T) {
	m, err := readModel(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	var seen []Traits
	for _, img := range []image.Image{page(400, 300), meadow(400, 300), scene(400, 300), noise(400, 300, 1)} {
		seen = append(seen, mustTraits(t, mustNew(t, ""), pngOf(t, img), variant.Spec{Format: variant.PNG}))
	}
	for name, set := range m.Sets {
		for _, coder := range []string{"avif9", "avif8", "webp4", "jpeg", "avif9c", "avif8c", "webp4c", "jpegc"} {
			for _, group := range []string{groupPhoto, groupDrawn} {
				for i, traits := range seen {
					last := 0
					for target := 40.0; target <= 85; target++ {
						q, ok := set.Q(m, coder, group, target, traits)
						if !ok || q < 1 || q > 100 {
							t.Fatalf("%s %s %s: no q for %g (%d)", name, coder, group, target, q)
						}
						if q < last-3 { // Each target has coefficients of its own, so a step back of a few is noise of the fit.
							t.Errorf("%s %s %s, picture %d: q %d for %g, %d for less", name, coder, group, i, q, target, last)
						}
						last = q
					}
				}
			}
		}
	}
}

// What may be a photo or a drawing gets a q between theirs, by the odds, and speed 8 one that is at most one below
// speed 9's.
func TestQBetweenKinds(t *testing.T) {
	c := mustNew(t, "")
	a, err := newAutomatic("3.14")
	if err != nil {
		t.Fatal(err)
	}
	flat := image.NewNRGBA(image.Rect(0, 0, 600, 400))
	fill(flat, image.Rect(40, 40, 300, 200), blue)
	for name, tt := range map[string]struct {
		img      image.Image
		from, to float64 // the odds of a photo
	}{"a landscape": {meadow(700, 500), 0.5, 1}, "plain areas": {opaque(flat), 0, 0.5}, "grain": {noise(700, 500, 3), 0, 1}} {
		traits := mustTraits(t, c, pngOf(t, tt.img), variant.Spec{})
		p := a.model.photoRatherThanGraphic(traits)
		if p < tt.from || p > tt.to {
			t.Errorf("%s: a photo by %.2f, want %.1f to %.1f", name, p, tt.from, tt.to)
		}
		for _, target := range []float64{50, 70} {
			photo, _ := a.photoQ("avif8", target, traits)
			drawn, _ := a.set.Q(a.model, "avif8", groupDrawn, target, traits)
			if got, ok := a.predict("avif8", Photo, target, traits, nil); !ok || got < min(photo, drawn) || got > max(photo, drawn) {
				t.Errorf("%s, target %.0f: q %d, want one between %d and %d", name, target, got, photo, drawn)
			}
			if full, _ := a.photoQ("avif8c", target, traits); full > photo+5 {
				t.Errorf("%s, target %.0f: q %d with full colours, %d with halved ones", name, target, full, photo)
			}
			if fast, _ := a.photoQ("avif9", target, traits); photo < fast-1 {
				t.Errorf("%s, target %.0f: q %d in speed 8, %d in speed 9", name, target, photo, fast)
			}
		}
	}
}

func TestModelIsChecked(t *testing.T) {
	for name, file := range map[string]string{
		"no JSON": "{", "nothing": "{}", "short lists": `{"mean":[1],"spread":[1],"kinds":[{"kind":"photo","weights":[1]}],"sets":{}}`,
		"an empty set": `{"sets":{"3.12":{"predictors":[]}}}`,
	} {
		if _, err := readModel([]byte(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A drawing of plain areas is smaller without loss, and then exact; only an open URL may answer so.
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
		if got.Format != tt.want || got.Quality != 0 || !bytes.Equal(decode(t, got.Body).Pix, img.Pix) {
			t.Errorf("%s: %s at q %d (%s; %s), want exact %s", name, got.Format, got.Quality, got.Note, got.Choice.Tried, tt.want)
		}
	}
	if got := must(t, c, original, variant.Spec{Format: variant.WebP}); got.Quality == 0 {
		t.Errorf("a URL that names WebP got it without loss (%s)", got.Note)
	}
}

// A sky full of stars looks like print, and is not held to print's lower demands; a dark screen with light letters is.
func TestNightsAreNoPrint(t *testing.T) {
	c := mustNew(t, "")
	random := rand.New(rand.NewPCG(7, 8))
	sky := image.NewNRGBA(image.Rect(0, 0, 1600, 1200))
	for i := 0; i < len(sky.Pix); i += 4 {
		v := uint8(4 + random.IntN(8))
		copy(sky.Pix[i:], []byte{v, v, v + 2, 255})
	}
	for range 9000 {
		x, y, v := random.IntN(1598), random.IntN(1198), uint8(40+random.ExpFloat64()*40)
		fill(sky, image.Rect(x, y, x+2, y+2), color.NRGBA{v, v, v, 255})
	}
	screen := scan(1600, 1200)
	for i := 0; i < len(screen.Pix); i++ {
		if i%4 < 3 {
			screen.Pix[i] = 20 + uint8((255-int(screen.Pix[i]))*215/255)
		}
	}
	for _, tt := range []struct {
		name  string
		img   image.Image
		night bool
	}{{"sky", sky, true}, {"screen", screen, false}} {
		traits := mustTraits(t, c, pngOf(t, tt.img), variant.Spec{Width: 800})
		if night(traits) != tt.night {
			t.Errorf("%s: a night %v, dark %.2f, soft %.3f", tt.name, !tt.night, traits.Dark, traits.Soft)
		}
		a := c.choices.(*automatic)
		photo, _ := a.photoQ("avif8", 70, traits)
		drawn, _ := a.set.Q(a.model, "avif8", groupDrawn, 70, traits)
		want := drawn
		if tt.night {
			want = max(photo, drawn) + nightMore
		}
		if q, _ := a.predict("avif8", Text, 70, traits, nil); q != want {
			t.Errorf("%s taken for text: q %d, want %d; as a photo %d, drawn %d", tt.name, q, want, photo, drawn)
		}
	}
}
