package codec

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// final makes a variant for which nobody waits.
func final(t *testing.T, c *Codec, original []byte, spec variant.Spec) (made variant.Image) {
	t.Helper()
	err := c.Transform(variant.Original{Body: original}, []variant.Spec{spec}, variant.StageFinal, testLimits, func(_ int, img variant.Image, err error) {
		if err != nil {
			t.Fatal(err)
		}
		made = img
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestFinalsReachTheirTarget makes final variants of drawn pictures in every format. Each reports its score, which must
// equal the score of an independent decode, and be at the class's target.
func TestFinalsReachTheirTarget(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, meadow(640, 480))
	for _, f := range []variant.Format{variant.AVIF, variant.WebP, variant.JPEG, variant.JXL} {
		if !writes(f) {
			continue
		}
		for class, target := range map[variant.Class]float64{variant.ClassNormal: 70, variant.ClassHigh: 80, variant.ClassSaver: 50} {
			spec := variant.Spec{Format: f, Class: class, Width: 400}
			made := final(t, c, original, spec)
			if made.Choice.Score < target-choose.ScoreSlack || made.Choice.Score > target+8 {
				t.Errorf("%s, %v: %.1f, the target is %v: %s", f, class, made.Choice.Score, target, made.Choice.Tried)
			}
			ref, err := judge.NewRaster(original, variant.Spec{Format: variant.PNG, Width: 400}, testLimits)
			if err != nil {
				t.Fatal(err)
			}
			j, err := ref.Judge(false)
			if err != nil {
				t.Fatal(err)
			}
			if all, _, err := j.Score(made.Body); err != nil || math.Abs(all-made.Choice.Score) > 0.01 {
				t.Errorf("%s, %v: it says %.2f, and scores %.2f, %v", f, class, made.Choice.Score, all, err)
			}
			j.Close()
			ref.Free()
		}
	}
}

// TestFastEncodesFindTheQ expects that a final photo takes fast encodes first, and then few of the final encoder.
func TestFastEncodesFindTheQ(t *testing.T) {
	c := mustShare(t, EngineVips)
	for _, class := range []variant.Class{variant.ClassSaver, variant.ClassNormal, variant.ClassHigh} {
		made := final(t, c, pngOf(t, meadow(640, 480)), variant.Spec{Format: variant.AVIF, Class: class, Legible: variant.LegibleNo})
		tried := strings.Split(made.Choice.Tried, "; ")
		slow := slices.DeleteFunc(slices.Clone(tried), func(s string) bool { return strings.HasSuffix(s, ", fast") })
		if !strings.HasSuffix(tried[0], ", fast") || len(slow) < 1 || len(slow) > 2 {
			t.Errorf("%v: %s", class, made.Choice.Tried)
		}
	}
}

// TestFastEncodesMayBeKept has faint grain, of which the fast encoder wipes out more. It expects the smallest of all
// encodes that reach the target, whichever encoder made it.
func TestFastEncodesMayBeKept(t *testing.T) {
	c := mustShare(t, EngineVips)
	img := image.NewNRGBA(image.Rect(0, 0, 480, 360))
	noise := codectest.Noise(480, 360, 7)
	for y := range 360 {
		for x := range 480 {
			v := uint8(40 + x/6 + y/8 + int(noise.NRGBAAt(x, y).R)*5/256)
			img.SetNRGBA(x, y, color.NRGBA{v, v - 10, v/2 + 30, 255})
		}
	}
	made := final(t, c, pngOf(t, img), variant.Spec{Format: variant.AVIF, Legible: variant.LegibleNo})
	least := math.MaxInt
	for _, try := range strings.Split(made.Choice.Tried, "; ") {
		var q, size int
		var score float64
		if _, err := fmt.Sscanf(try, "avif q%d %d bytes score %f", &q, &size, &score); err != nil {
			t.Fatal(err, try)
		}
		if score >= 70-choose.ScoreSlack {
			least = min(least, size)
		}
	}
	if len(made.Body) != least {
		t.Errorf("%d bytes were kept: %s", len(made.Body), made.Choice.Tried)
	}
}

// TestPrintIsMeasuredByItsWorstPart expects the worst tile of a final page at the target.
func TestPrintIsMeasuredByItsWorstPart(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, page(700, 600))
	made := final(t, c, original, variant.Spec{Format: variant.AVIF, Legible: variant.LegibleYes, Width: 600})
	ref, err := judge.NewRaster(original, variant.Spec{Format: variant.PNG, Width: 600}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Free()
	j, err := ref.Judge(true)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	_, worst, err := j.Score(made.Body)
	if err != nil || worst < 69.4 || worst > 75 {
		t.Errorf("the worst tile scores %.1f (%v): %s", worst, err, made.Choice.Tried)
	}
}

// Pictures that are too small for a score, animations, and pictures with the q of the URL are not measured.
func TestNotMeasured(t *testing.T) {
	c := mustShare(t, EngineVips)
	for name, spec := range map[string]variant.Spec{
		"a named q": {Format: variant.AVIF, Quality: 40},
		"tiny":      {Format: variant.AVIF, Width: 7},
		"lossless":  {Format: variant.PNG},
	} {
		if made := final(t, c, pngOf(t, meadow(320, 240)), spec); made.Choice.Score != 0 {
			t.Errorf("%s: measured %v", name, made.Choice.Score)
		}
	}
}

// TestTuneIsNamed expects the tuning for which the coefficients were fitted: iq from libaom 3.12 on.
func TestTuneIsNamed(t *testing.T) {
	want := fmt.Sprint(choose.SetFor(vips.AOMVersion()) != look.OlderSet)
	if got := fmt.Sprint(vips.TunesIQ()); got != want {
		t.Errorf("libaom %s: iq %s, its coefficients are of iq %s", vips.AOMVersion(), got, want)
	}
}

// TestLightFirstAnswersAreMadeSureOf predicts a q that is too low. A light photo is scored and encoded again if it
// falls short; one with many details is sent unchanged.
func TestLightFirstAnswersAreMadeSureOf(t *testing.T) {
	c := mustShare(t, EngineVips)
	lim := testLimits
	lim.Drift = transform.Drift{{Coder: "avif9", From: []float64{0, 100}, To: []float64{0, 94}}}
	for name, img := range map[string]image.Image{"light": meadow(640, 480), "rich": codectest.Noise(640, 480, 7)} {
		original := pngOf(t, img)
		specs := []variant.Spec{{Format: variant.AVIF, Legible: variant.LegibleNo}}
		err := c.Transform(variant.Original{Body: original}, specs, variant.StageFirst, lim, func(_ int, made variant.Image, err error) {
			if err != nil {
				t.Fatal(err)
			}
			score, tried := scoreOf(t, original, made.Body), strings.Count(made.Choice.Tried, "avif")
			if light := name == "light"; light && (tried != 2 || score < 58) || !light && tried != 1 {
				t.Errorf("%s: %.1f by %s", name, score, made.Choice.Tried)
			}
			if made.Stage != variant.StageFirst {
				t.Errorf("%s: stage %v, want the first", name, made.Stage)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFirstPrintIsMadeSureOf predicts a q that is too low for print, in each format. It is scored by its worst part and
// encoded again; a page that keeps its target is encoded once.
func TestFirstPrintIsMadeSureOf(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, codectest.Page(800, 500))
	for _, tt := range []struct {
		format variant.Format
		coder  string
		share  float64 // of the q that is predicted, in percent
	}{{variant.AVIF, "avif8", 80}, {variant.WebP, "webp4", 40}, {variant.JPEG, "jpeg", 40}} {
		for _, class := range []variant.Class{variant.ClassNormal, variant.ClassSaver} {
			for _, low := range []bool{true, false} {
				lim := testLimits
				to := []float64{30, 110}
				if low {
					to = []float64{0, tt.share}
				}
				lim.Drift = transform.Drift{{Coder: tt.coder, Print: true, From: []float64{0, 100}, To: to}}
				specs := []variant.Spec{{Format: tt.format, Class: class, Legible: variant.LegibleYes}}
				see := func(_ int, made variant.Image, err error) {
					if err != nil {
						t.Fatal(err)
					}
					tried := strings.Count(made.Choice.Tried, "bytes")
					if low && (tried != 2 || !strings.Contains(made.Choice.Tried, "score")) || !low && tried != 1 {
						t.Errorf("%s, class %v, low %v: %s", tt.format, class, low, made.Choice.Tried)
					}
				}
				err := c.Transform(variant.Original{Body: original}, specs, variant.StageFirst, lim, see)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// scoreOf is the score of an encode against its original.
func scoreOf(t *testing.T, original, body []byte) float64 {
	t.Helper()
	ref, err := judge.NewRaster(original, variant.Spec{Format: variant.PNG}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Free()
	j, err := ref.Judge(false)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	all, _, err := j.Score(body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
