package codec

import (
	"fmt"
	"image"
	"image/draw"
	"math"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/variant"
)

// TestLoopChoosesByWhatItMeasured runs the loop over curves of score by q that were foretold wrongly in every way: it
// ends within its encodes, at the target where that can be reached, and never above it by much.
func TestLoopChoosesByWhatItMeasured(t *testing.T) {
	curves := map[string]func(q float64) float64{
		"line":     func(q float64) float64 { return 30 + 0.7*q },
		"steep":    func(q float64) float64 { return 1.4*q - 10 },
		"flat":     func(q float64) float64 { return 50 + 0.4*q },
		"bent":     func(q float64) float64 { return 100 - 120*math.Exp(-q/45) },
		"in steps": func(q float64) float64 { return 30 + 0.7*2*math.Floor(q/2) },
	}
	for name, curve := range curves {
		for start := 20; start <= 90; start += 7 {
			for _, slope := range []float64{0.5, 0.8, 1.3} {
				l := loop{target: 70, slope: slope, level: levels(variant.AVIF), most: loopEncodes}
				for q := start; q > 0 && len(l.tries) < loopEncodes; q = l.next() {
					for _, before := range l.tries {
						if l.level(before.q) == l.level(q) {
							t.Fatalf("%s from %d: q %d twice", name, start, q)
						}
					}
					l.tries = append(l.tries, try{encoded{body: make([]byte, q)}, q, curve(float64(q))})
				}
				got := l.best().score
				if off := math.Abs(curve(float64(start)) - 70); off < 8 && (got < 69 || got > 73) {
					t.Errorf("%s from q %d (%.1f), slope %.1f: %.1f after %d encodes", name, start, curve(float64(start)), slope, got, len(l.tries))
				}
			}
		}
	}
}

// TestLoopEndsWhereNothingReaches keeps the best of pictures that no q brings to the target, and the smallest of those
// that any q does.
func TestLoopEndsWhereNothingReaches(t *testing.T) {
	for _, always := range []float64{40, 95} {
		l := loop{target: 70, slope: 1, level: levels(variant.JPEG), most: loopEncodes}
		for q := 60; q > 0 && len(l.tries) < loopEncodes; q = l.next() {
			l.tries = append(l.tries, try{encoded{body: make([]byte, q)}, q, always + float64(q)/100})
		}
		best := l.best()
		for _, other := range l.tries {
			if always == 40 && other.score > best.score || always == 95 && other.q < best.q {
				t.Errorf("always near %v: q %d was kept, %d is better", always, best.q, other.q)
			}
		}
	}
}

// final makes a variant that nobody waits for.
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

// TestFinalsReachTheirTarget makes final variants of drawn pictures in every format: each tells its score, which is
// what an independent decode of it scores, at the class's target.
func TestFinalsReachTheirTarget(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, meadow(640, 480))
	for _, f := range []variant.Format{variant.AVIF, variant.WebP, variant.JPEG} {
		for class, target := range map[variant.Class]float64{variant.ClassNormal: 70, variant.ClassHigh: 80, variant.ClassSaver: 50} {
			spec := variant.Spec{Format: f, Class: class, Width: 400}
			made := final(t, c, original, spec)
			if made.Choice.Score < target-scoreSlack || made.Choice.Score > target+8 {
				t.Errorf("%s, %v: %.1f, the target is %v: %s", f, class, made.Choice.Score, target, made.Choice.Tried)
			}
			ref, err := c.Raster(original, variant.Spec{Format: variant.PNG, Width: 400}, testLimits)
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

// TestPrintIsMeasuredByItsWorstPart wants the worst tile of a final page at the target.
func TestPrintIsMeasuredByItsWorstPart(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, page(700, 600))
	made := final(t, c, original, variant.Spec{Format: variant.AVIF, Legible: variant.LegibleYes, Width: 600})
	ref, err := c.Raster(original, variant.Spec{Format: variant.PNG, Width: 600}, testLimits)
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

// What is too small to be scored, moves, or has the q that its URL names is not measured.
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

// TestJudgeTakesEveryKindOfPixels scores grey, colour and both with alpha against themselves.
func TestJudgeTakesEveryKindOfPixels(t *testing.T) {
	mustShare(t, EngineVips)
	transparent := meadow(64, 48)
	for i := 3; i < len(transparent.Pix); i += 12 {
		transparent.Pix[i] = 90
	}
	shades := image.NewGray(image.Rect(0, 0, 64, 48))
	draw.Draw(shades, shades.Bounds(), meadow(64, 48), image.Point{}, draw.Src)
	for name, body := range map[string][]byte{"colour": pngOf(t, meadow(64, 48)), "alpha": pngOf(t, transparent), "grey": pngOf(t, shades)} {
		info, err := sniff.Inspect(body)
		if err != nil {
			t.Fatal(err)
		}
		pic, err := decoded(body, info, variant.Spec{Format: variant.PNG}, testLimits)
		if err != nil {
			t.Fatal(err)
		}
		j, err := newJudge(pic.im, false)
		if err != nil {
			t.Fatal(err)
		}
		if all, _, err := j.scores(body); err != nil || all != 100 {
			t.Errorf("%s: %v, %v", name, all, err)
		}
		j.close()
		pic.free()
	}
	if _, err := score.New(4, 4); err != score.ErrSize {
		t.Error(err)
	}
}

// TestTuneIsNamed wants the tune that the coefficients were fitted for: iq from libaom 3.12 on.
func TestTuneIsNamed(t *testing.T) {
	want := fmt.Sprint(SetFor(aomVersion()) != olderSet)
	if got := fmt.Sprint(tunesIQ()); got != want {
		t.Errorf("libaom %s: iq %s, its coefficients are of iq %s", aomVersion(), got, want)
	}
}
