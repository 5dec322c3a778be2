package choose

import (
	"image"
	"image/color"
	"math/rand/v2"
	"testing"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// mustTraits returns the traits of a picture as spec renders it.
func mustTraits(t *testing.T, original []byte, spec variant.Spec) look.Traits {
	t.Helper()
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	pic, err := render.Alone(original, spec, codectest.Limits)
	if err != nil {
		t.Fatal(err)
	}
	defer pic.Free()
	traits, err := look.Measure(pic.Im)
	if err != nil {
		t.Fatal(err)
	}
	return traits
}

func TestTargets(t *testing.T) {
	w := Wish{}
	for _, tt := range []struct {
		class   variant.Class
		kind    look.Kind
		quality transform.Quality
		want    float64
	}{
		{variant.ClassNormal, look.Photo, transform.Quality{}, 70},
		{variant.ClassHigh, look.Photo, transform.Quality{}, 80},
		{variant.ClassSaver, look.Photo, transform.Quality{}, 50},
		{variant.ClassSaver, look.Text, transform.Quality{}, 60},
		{variant.ClassSaver, look.Mixed, transform.Quality{}, 60},
		{variant.ClassSaver, look.Graphic, transform.Quality{}, 50},
		{variant.ClassNormal, look.Text, transform.Quality{High: 80, Normal: 55, Saver: 45, TextFloor: 65}, 65},
		{variant.ClassSaver, look.Photo, transform.Quality{High: 80, Normal: 55, Saver: 45, TextFloor: 65}, 45},
	} {
		w.Spec.Class, w.Targets = tt.class, tt.quality
		if got := Target(w, tt.kind); got != tt.want {
			t.Errorf("class %d, %s, %+v: target %g, want %g", tt.class, tt.kind, tt.quality, got, tt.want)
		}
	}
}

// Small print keeps its target on slow networks, and follows the configured target of the class normal.
func TestSmallPrintHasAHigherTarget(t *testing.T) {
	for _, tt := range []struct {
		name    string
		format  variant.Format
		class   variant.Class
		kind    look.Kind
		letters look.Letters
		iq      bool
		normal  float64
		want    float64
	}{
		{"tiny", variant.WebP, variant.ClassNormal, look.Text, look.LettersTiny, true, 70, 72},
		{"tiny, by iq", variant.AVIF, variant.ClassNormal, look.Text, look.LettersTiny, true, 70, 75},
		{"tiny, by ssim", variant.AVIF, variant.ClassNormal, look.Text, look.LettersTiny, false, 70, 72},
		{"tiny, saver", variant.JPEG, variant.ClassSaver, look.Mixed, look.LettersTiny, true, 70, 72},
		{"tiny, high", variant.AVIF, variant.ClassHigh, look.Text, look.LettersTiny, true, 70, 80},
		{"tiny, configured", variant.WebP, variant.ClassSaver, look.Text, look.LettersTiny, true, 64, 66},
		{"tiny, near high", variant.AVIF, variant.ClassNormal, look.Text, look.LettersTiny, true, 78, 80},
		{"small", variant.AVIF, variant.ClassNormal, look.Text, look.LettersSmall, true, 70, 70},
		{"small, saver", variant.AVIF, variant.ClassSaver, look.Text, look.LettersSmall, true, 70, 70},
		{"large, saver", variant.AVIF, variant.ClassSaver, look.Text, look.LettersLarge, true, 70, 60},
		{"photo, saver", variant.AVIF, variant.ClassSaver, look.Photo, look.LettersTiny, true, 70, 50},
	} {
		w := Wish{Format: tt.format, Targets: transform.Quality{High: 80, Normal: tt.normal, Saver: 50, TextFloor: 60}}
		w.Spec.Class = tt.class
		if got := (&Chooser{iq: tt.iq}).target(w, tt.kind, &look.View{Letters: tt.letters}); got != tt.want {
			t.Errorf("%s: target %g, want %g", tt.name, got, tt.want)
		}
	}
}

// A higher target never gives a lower q, for all sets of libraries, all coders and both groups.
func TestQRisesWithTheTarget(t *testing.T) {
	a, err := New("3.14")
	if err != nil {
		t.Fatal(err)
	}
	m := a.model
	var seen []look.Traits
	for _, img := range []image.Image{
		codectest.Page(400, 300), codectest.Meadow(400, 300), codectest.Scene(400, 300), codectest.Noise(400, 300, 1),
	} {
		seen = append(seen, mustTraits(t, codectest.PNG(t, img), variant.Spec{Format: variant.PNG}))
	}
	for name, set := range m.Sets {
		for _, coder := range []string{"avif9", "avif8", "webp4", "jpeg", "avif9c", "avif8c", "webp4c", "jpegc"} {
			for _, group := range []string{look.GroupPhoto, look.GroupDrawn} {
				for i, traits := range seen {
					last := 0
					for target := 40.0; target <= 85; target++ {
						q, ok := set.Q(m, coder, group, target, traits)
						if !ok || q < 1 || q > 100 {
							t.Fatalf("%s %s %s: no q for %g (%d)", name, coder, group, target, q)
						}
						if q < last-3 { // Each target has its own coefficients, so a decrease of a few is noise of the fit.
							t.Errorf("%s %s %s, picture %d: q %d for %g, %d for less", name, coder, group, i, q, target, last)
						}
						last = q
					}
				}
			}
		}
	}
}

// A picture that may be a photo or a drawing gets a q between theirs, weighted by probability. Speed 8 gets a q at most
// one below that of speed 9.
func TestUncertainKindGetsAWeightedQuality(t *testing.T) {
	a, err := New("3.14")
	if err != nil {
		t.Fatal(err)
	}
	flat := image.NewNRGBA(image.Rect(0, 0, 600, 400))
	codectest.Fill(flat, image.Rect(40, 40, 300, 200), codectest.Blue)
	for name, tt := range map[string]struct {
		img      image.Image
		from, to float64 // bounds of the probability of a photo
	}{
		"a landscape": {codectest.Meadow(700, 500), 0.5, 1}, "plain areas": {codectest.Opaque(flat), 0, 0.5},
		"grain": {codectest.Noise(700, 500, 3), 0, 1},
	} {
		traits := mustTraits(t, codectest.PNG(t, tt.img), variant.Spec{})
		p := a.model.PhotoRatherThanGraphic(traits)
		if p < tt.from || p > tt.to {
			t.Errorf("%s: a photo by %.2f, want %.1f to %.1f", name, p, tt.from, tt.to)
		}
		for _, target := range []float64{50, 70} {
			photo, _ := a.photoQ("avif8", target, traits)
			drawn, _ := a.set.Q(a.model, "avif8", look.GroupDrawn, target, traits)
			if got, ok := a.predict("avif8", look.Photo, target, traits, nil); !ok ||
				got < min(photo, drawn) || got > max(photo, drawn) {
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

// A sky full of stars looks like print, but does not get the lower q of print; a dark screen with light letters does.
func TestStarrySkiesAreNotTakenForPrint(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	a, err := New(vips.AOMVersion())
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	sky := image.NewNRGBA(image.Rect(0, 0, 1600, 1200))
	for i := 0; i < len(sky.Pix); i += 4 {
		v := uint8(4 + random.IntN(8))
		copy(sky.Pix[i:], []byte{v, v, v + 2, 255})
	}
	for range 9000 {
		x, y, v := random.IntN(1598), random.IntN(1198), uint8(40+random.ExpFloat64()*40)
		codectest.Fill(sky, image.Rect(x, y, x+2, y+2), color.NRGBA{v, v, v, 255})
	}
	screen := codectest.Scan(1600, 1200)
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
		traits := mustTraits(t, codectest.PNG(t, tt.img), variant.Spec{Width: 800})
		if night(traits) != tt.night {
			t.Errorf("%s: a night %v, dark %.2f, soft %.3f", tt.name, !tt.night, traits.Dark, traits.Soft)
		}
		photo, _ := a.photoQ("avif8", 70, traits)
		drawn, _ := a.set.Q(a.model, "avif8", look.GroupDrawn, 70, traits)
		want := drawn
		if tt.night {
			want = max(photo, drawn) + nightMore
		}
		if q, _ := a.predict("avif8", look.Text, 70, traits, nil); q != want {
			t.Errorf("%s taken for text: q %d, want %d; as a photo %d, drawn %d", tt.name, q, want, photo, drawn)
		}
	}
}

func TestFixedTableByEncoder(t *testing.T) {
	for version, want := range map[string]int{"3.6.0": 61, "v3.6.0": 61, "3.11.1": 61, "3.12.0": 57, "v3.14.0-2-g1": 57, "4.0.0": 57, "": 57, "odd": 57} {
		if got := fixedTable(version).choose(Wish{Format: variant.AVIF}).Q; got != want {
			t.Errorf("libaom %q: q %d, want %d", version, got, want)
		}
	}
}

// TestVividPhotosInJPEG predicts the saver's q of a smooth photo with strong colours, for which the model alone gives one
// with visible blocks.
func TestVividPhotosInJPEG(t *testing.T) {
	for _, set := range []string{"3.6.0", "3.12.1", "3.14.0"} {
		a, err := New(set)
		if err != nil {
			t.Fatal(err)
		}
		traits := mustTraits(t, codectest.PNG(t, codectest.Scene(800, 600)), variant.Spec{Width: 800})
		traits.Colourful = 90
		alone, _ := a.set.Q(a.model, "jpegc", look.GroupPhoto, 50-savingLess, traits)
		t.Logf("libaom %s: the model alone gives q %d", set, alone)
		if q, ok := a.predict("jpegc", look.Photo, 50, traits, nil); !ok || q < LeastJPEG {
			t.Errorf("libaom %s: q %d (%t), want at least %d", set, q, ok, LeastJPEG)
		}
	}
}
