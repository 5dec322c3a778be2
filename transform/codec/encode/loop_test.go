package encode

import (
	"bytes"
	"math"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
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
