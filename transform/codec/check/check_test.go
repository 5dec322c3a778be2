package check

import (
	"math"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

func mustRecords(t *testing.T) map[string][]Record {
	t.Helper()
	all, err := readRecords(checkFile)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The libraries of the distributions match the recorded ones: nothing is corrected.
func TestSelfCheckKnowsTheLibraries(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	if set := choose.SetFor(vips.AOMVersion()); !strings.HasPrefix(strings.TrimPrefix(vips.AOMVersion(), "v"), set+".") {
		t.Skipf("there is no record of libaom %s", vips.AOMVersion())
	}
	got, err := Drift()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2*len(linked()) {
		t.Errorf("%d encoders were checked, want %d", len(got), 2*len(linked()))
	}
	for _, d := range got {
		if math.Abs(d.Miss) > 0.5 || len(d.From) > 0 {
			t.Errorf("libaom %s: %s misses by %.2f; if this is meant, run \"cd bench && go run ./quality record -write\"",
				vips.AOMVersion(), d.Coder+" "+d.Kind(), d.Miss)
		}
	}
}

// reached holds the mean scores of the photos of heldOut with the coefficients, on the libraries for which they were
// fitted: at speed 9 and 8 for the class normal, then for high. Each was measured with these libraries.
var reached = map[string][4]float64{
	"3.6": {72.1, 72.7, 82.4, 82.5}, "3.12": {74.5, 74.8, 83.1, 82.8}, "3.14": {73.4, 73.5, 82.1, 82.2},
}

// Coefficients and records of other libraries simulate a changed library, once from tune=ssim to iq and once back. The
// check detects the change, and brings the held-out photos to within two points of their scores on the original
// libraries.
func TestSelfCheckMendsTheMiss(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	got, err := Measure()
	if err != nil {
		t.Fatal(err)
	}
	photos := heldOut(t)
	for name, want := range mustRecords(t) {
		if name == choose.SetFor(vips.AOMVersion()) {
			continue
		}
		d, err := drift(want, got)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Corrects() {
			t.Errorf("%s: no encoder is said to differ: %v", name, d)
		}
		other, err := choose.New(name + ".0")
		if err != nil {
			t.Fatal(err)
		}
		for i, right := range reached[name] {
			w := choose.Wish{Format: variant.AVIF, Effort: []int{choose.EffortFirst, choose.EffortFinal}[i%2], Spec: variant.Spec{Class: []variant.Class{variant.ClassNormal, variant.ClassHigh}[i/2]}}
			missed := meanScore(t, photos, other, w)
			w.Drift = d
			mended := meanScore(t, photos, other, w)
			t.Logf("coefficients of %s, effort %d, %s: %.2f, corrected %.2f, want %.2f",
				name, w.Effort, w.Spec.Class, missed, mended, right)
			if math.Abs(mended-right) > 2 {
				t.Errorf("%s, effort %d, %s: corrected photos come to %.2f, want %.2f", name, w.Effort, w.Spec.Class, mended, right)
			}
		}
	}
}

// heldOut returns photos of the corpus, in a box of 600 pixels.
func heldOut(t *testing.T) []*render.Picture {
	t.Helper()
	var all []*render.Picture
	for _, file := range []string{"cardinal.jpg", "faces-progressive.jpg", "groceries.jpg", "portrait-adobergb.jpg", "truck-street.jpg", "product-saw.jpg", "tree.webp", "dog-12mp-exif6-icc-xmp.jpg"} {
		original := codectest.ReadCorpus(t, "photos", file)
		pic, err := render.Alone(original, variant.Spec{Width: 600, Height: 600, Format: variant.PNG}, codectest.Limits)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pic.Free)
		all = append(all, pic)
	}
	return all
}

// meanScore is the mean score of the photos with the q that a chooser predicts.
func meanScore(t *testing.T, photos []*render.Picture, a *choose.Chooser, w choose.Wish) float64 {
	t.Helper()
	sum := 0.0
	for _, pic := range photos {
		j, err := judge.New(pic.Im, false)
		if err != nil {
			t.Fatal(err)
		}
		s := a.Choose(pic, w)
		s.Format = w.Format
		body, err := pic.Im.Save(s.Saving)
		if err != nil {
			t.Fatal(err)
		}
		score, _, err := j.Score(body)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		sum += score
	}
	return sum / float64(len(photos))
}

// Predictions are corrected only for the encoder and the kind of picture that drifted.
func TestDriftCorrectsWhatWasFound(t *testing.T) {
	want := []Record{
		{Coder: "webp4", Q: []int{40, 60, 80}, Scores: [][]float64{{50, 52}, {60, 62}, {70, 72}}},
		{Coder: "jpeg", Q: []int{40, 60, 80}, Scores: [][]float64{{50, 52}, {60, 62}, {70, 72}}},
	}
	got := []Record{
		{Coder: "webp4", Q: []int{40, 60, 80}, Scores: [][]float64{{45, 47}, {55, 57}, {65, 67}}}, // Five points less, at half a point for each q.
		{Coder: "jpeg", Q: []int{40, 60, 80}, Scores: [][]float64{{51, 52}, {61, 62}, {71, 72}}},
	}
	d, err := drift(want, got)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		coder   string
		print   bool
		q, want int
	}{{"webp4", false, 40, 50}, {"webp4", false, 55, 65}, {"webp4", false, 20, 30}, {"webp4", false, 95, 100}, {"webp4", true, 40, 40}, {"jpeg", false, 40, 40}, {"avif9", false, 40, 40}} {
		if q := d.Q(tt.coder, tt.print, tt.q); q != tt.want {
			t.Errorf("%s, print %t: q %d becomes %d, want %d", tt.coder, tt.print, tt.q, q, tt.want)
		}
	}
	if _, err := drift(want[:1], got); err == nil {
		t.Error("an encoder without a record is not refused")
	}
	var none transform.Drift
	if none.Corrects() || none.Q("jpeg", false, 33) != 33 {
		t.Error("no drift corrects something")
	}
}

// Promises of first-stage variants are kept on the libraries of the distributions, and broken ones are reported.
func TestFirstPromises(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	all := mustRecords(t)
	own := all[choose.SetFor(vips.AOMVersion())]
	first, err := firstPromises(own)
	if err != nil || len(first) != 2*len(linked()) {
		t.Fatalf("%d promises of first answers, error %v", len(first), err)
	}
	for _, p := range first {
		if !p.Kept() {
			t.Errorf("not kept: %+v", p)
		}
	}
	for i := range own[0].Scores { // No q of this encoder reaches these scores.
		for k := range own[0].Scores[i] {
			own[0].Scores[i][k] = 99
		}
	}
	if first, err = firstPromises(own); err != nil || first[0].Kept() || !first[1].Kept() {
		t.Errorf("an encoder that cannot keep its promise: %+v, %v", first, err)
	}
}

func TestPromiseKept(t *testing.T) {
	for _, tt := range []struct {
		p         Promise
		distances []float64
		want      Promise
		kept      bool
	}{
		{Promise{Kind: "photo"}, []float64{1, -5, 1}, Promise{Mean: -1, Worst: -5}, true},
		{Promise{Kind: "photo"}, []float64{-4, -3}, Promise{Mean: -3.5, Worst: -4}, false},
		{Promise{Kind: "photo"}, []float64{5, 2}, Promise{Mean: 3.5, Worst: 5}, false},
		{Promise{Kind: "photo", Final: true}, []float64{2, -3.5, 2}, Promise{Worst: -3.5, Mean: 0.5 / 3}, false},
		{Promise{Kind: "photo", Final: true}, []float64{4, 4}, Promise{Mean: 4, Worst: 4}, false},
		{Promise{Kind: "print", Final: true}, []float64{9, -1}, Promise{Mean: 4, Worst: -1}, true},
	} {
		tt.p.add(tt.distances)
		if math.Abs(tt.p.Mean-tt.want.Mean) > 1e-9 || tt.p.Worst != tt.want.Worst || tt.p.Kept() != tt.kept {
			t.Errorf("%v: %+v, kept %t", tt.distances, tt.p, tt.p.Kept())
		}
	}
}
