package encode

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// TestLoopChoosesByWhatItMeasured runs the loop on curves of score by q that were predicted wrongly in every way. It
// ends within its number of encodes, at the target if that is reachable, and never far above it.
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
				l := loop{target: 70, slack: choose.ScoreSlack, excess: scoreExcess, slope: slope, most: loopEncodes}
				l.level = levels(variant.AVIF)
				for q := start; q > 0 && len(l.tries) < loopEncodes; q = l.next() {
					for _, before := range l.tries {
						if l.level(before.q) == l.level(q) {
							t.Fatalf("%s from %d: q %d twice", name, start, q)
						}
					}
					l.tries = append(l.tries, try{Encoded{Body: make([]byte, q)}, q, curve(float64(q))})
				}
				got := l.best().score
				if off := math.Abs(curve(float64(start)) - 70); off < 8 && (got < 69 || got > 73) {
					t.Errorf("%s from q %d (%.1f), slope %.1f: %.1f after %d encodes", name, start, curve(float64(start)), slope, got, len(l.tries))
				}
			}
		}
	}
}

// TestLoopEndsWhereNothingReaches returns the best encode if no q reaches the target, and the smallest if every q does.
func TestLoopEndsWhereNothingReaches(t *testing.T) {
	for _, always := range []float64{40, 95} {
		l := loop{target: 70, slack: choose.ScoreSlack, excess: scoreExcess, slope: 1, level: levels(variant.JPEG), most: loopEncodes}
		for q := 60; q > 0 && len(l.tries) < loopEncodes; q = l.next() {
			l.tries = append(l.tries, try{Encoded{Body: make([]byte, q)}, q, always + float64(q)/100})
		}
		best := l.best()
		for _, other := range l.tries {
			if always == 40 && other.score > best.score || always == 95 && other.q < best.q {
				t.Errorf("always near %v: q %d was kept, %d is better", always, best.q, other.q)
			}
		}
	}
}

// TestLoopDoesNotTrustTheSlopeOfAFewQ has two tries so close that their scores differ by chance. The next step must
// also use the predicted slope, and not jump.
func TestLoopDoesNotTrustTheSlopeOfAFewQ(t *testing.T) {
	l := loop{target: 70, slack: choose.ScoreSlack, excess: scoreExcess, slope: 0.45, most: loopEncodes}
	l.level = levels(variant.WebP)
	l.tries = []try{{q: 72, score: 68.7}, {q: 75, score: 69.0}}
	if q := l.next(); q < 77 || q > 82 {
		t.Errorf("q %d after 72 and 75, want some more", q)
	}
}

// TestLoopSplitsAJump has scores that jump over the target, as WebP's do. One more encode is made between them, and no
// second one. Where nothing falls short, the q is not halved.
func TestLoopSplitsAJump(t *testing.T) {
	l := loop{target: 70, slack: choose.ScoreSlack, excess: scoreExcess, slope: 0.45, most: loopEncodes}
	l.level = levels(variant.WebP)
	l.tries = []try{{q: 69, score: 68.3}, {q: 72, score: 68.8}, {q: 78, score: 74.1}}
	if q := l.next(); q != 75 {
		t.Errorf("q %d between 72 and 78, want 75", q)
	}
	l.tries = append(l.tries, try{q: 75, score: 73})
	if q := l.next(); q != 0 {
		t.Errorf("q %d after %d encodes", q, len(l.tries))
	}
	l.tries = []try{{q: 61, score: 78.9}, {q: 56, score: 75.2}, {q: 52, score: 72.6}}
	if q := l.next(); q < 46 {
		t.Errorf("q %d after three that reach the target, the last by 2.6", q)
	}
	l.least = leastQ(variant.JPEG) // It is a bound, and no try that falls short.
	if q := l.next(); q < 46 {
		t.Errorf("q %d after three that reach the target, with a least q of %d", q, l.least)
	}
}

// TestNoJPEGBelowTheLeastQ has scores far above the target at low q, as flat drawings have.
func TestNoJPEGBelowTheLeastQ(t *testing.T) {
	l := loop{target: 50, slack: choose.ScoreSlack, excess: scoreExcess, slope: 1, most: loopEncodes}
	l.level, l.least = levels(variant.JPEG), leastQ(variant.JPEG)
	l.tries = []try{{q: 31, score: 70}}
	if q := l.next(); q != choose.LeastJPEG {
		t.Errorf("q %d, want %d", q, choose.LeastJPEG)
	}
	l.tries = append(l.tries, try{q: choose.LeastJPEG, score: 60})
	if q := l.next(); q != 0 {
		t.Errorf("q %d after the least one", q)
	}
}

// TestLevelsAreThoseOfTheLibrary encodes a picture at each q: exactly those of one level make the same file. Otherwise
// the loop would make a file twice, or skip one that was never made.
func TestLevelsAreThoseOfTheLibrary(t *testing.T) {
	const side = 64
	samples := make([]byte, 3*side*side)
	for i, state := 0, uint32(1); i < len(samples); i++ {
		state = state*1664525 + 1013904223
		samples[i] = byte(state >> 24)
	}
	im, err := vips.FromPixels(samples, side, side, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Free()
	level := levels(variant.AVIF)
	var last []byte
	for q := 1; q <= 100; q++ {
		made, err := im.Save(vips.Saving{Format: variant.AVIF, Q: q})
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(made, last); same != (level(q) == level(q-1)) && q > 1 {
			t.Errorf("q %d makes the file of the one before: %v", q, same)
		}
		last = made
	}
}

// TestLoopGoesOnWhileNothingReaches has curves that rise less than predicted, as print's do: after the usual encodes
// none reaches the target, which a higher q does.
func TestLoopGoesOnWhileNothingReaches(t *testing.T) {
	for name, scores := range map[string]map[int]float64{
		"bent":     {56: 53.5, 63: 65.3, 66: 67.5},
		"in a dip": {57: 60.9, 65: 67.7, 68: 67.5},
		"flat":     {56: 62.7, 61: 64.5, 72: 66.5},
	} {
		l := loop{target: 70, slack: choose.ScoreSlack, excess: scoreExcess, slope: 0.8, level: levels(variant.JPEG)}
		l.most, l.lost = loopEncodes, lostEncodes
		for _, q := range slices.Sorted(maps.Keys(scores)) {
			l.tries = append(l.tries, try{q: q, score: scores[q]})
		}
		last := l.tries[2]
		for q := l.next(); q > 0; q = l.next() {
			l.tries = append(l.tries, try{q: q, score: last.score + 0.4*float64(q-last.q)})
		}
		if n := len(l.tries); !l.reached(l.best()) || n > loopEncodes+lostEncodes {
			t.Errorf("%s: %.1f after %d encodes", name, l.best().score, n)
		}
	}
}

// TestColouredPrintGetsFullChroma has a picture with red lines on blue, which halved chroma smears at any q, in a mixed
// picture of the class saver. Its chroma is halved at first.
func TestColouredPrintGetsFullChroma(t *testing.T) {
	const side = 256
	samples := make([]byte, 0, 3*side*side)
	for i := range side * side {
		if x, y := i%side, i/side; x%5 == 0 && y%16 < 11 || y%16 == 5 {
			samples = append(samples, 220, 30, 40)
		} else {
			samples = append(samples, 40, 60, 200)
		}
	}
	im, err := vips.FromPixels(samples, side, side, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Free()
	choices, err := choose.New("")
	if err != nil {
		t.Fatal(err)
	}
	e := Encoder{
		Choices: choices,
		Pic:     &render.Picture{Im: im, Size: im.Size(), Frames: 1, Seen: &look.View{Kind: look.Mixed}},
		Job:     &render.Job{Spec: variant.Spec{Class: variant.ClassSaver}},
	}
	defer e.Free()
	for _, f := range []variant.Format{variant.AVIF, variant.JPEG} {
		s := choose.Settings{Saving: vips.Saving{Q: 60, Effort: choose.EffortFinal}, Target: 60, Predicted: 60}
		best, err := e.measured(f, s)
		if err != nil || best.score < 59.5 {
			t.Errorf("%s: %.1f, %v: %q", f, best.score, err, e.tried)
		}
	}
}

// TestLoopEndsSoonerWithPrint has a first encode of print a point above its target. A final variant ends with it, a hot
// one does not.
func TestLoopEndsSoonerWithPrint(t *testing.T) {
	page := &render.Picture{Seen: &look.View{Kind: look.Text}}
	for stage, more := range map[variant.Stage]bool{variant.StageFinal: false, variant.StageHot: true} {
		c, err := choose.New(vips.AOMVersion())
		if err != nil {
			t.Fatal(err)
		}
		e := &Encoder{Choices: c, Pic: page, Job: &render.Job{Stage: stage}}
		e.Job.Lim.AVIFPixels = 1
		l := e.loop(variant.AVIF, choose.Settings{Target: 70})
		l.tries = []try{{q: 56, score: 71.1}}
		if q := l.next(); q > 0 != more {
			t.Errorf("stage %d: q %d after a score of 71.1", stage, q)
		}
	}
}
