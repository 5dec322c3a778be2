package codec

import (
	"bytes"
	"image"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/specimen"
	"github.com/goldcrest/goldcrest/variant"
)

// staged makes one variant at a stage.
func staged(t *testing.T, c *Codec, original []byte, spec variant.Spec, stage variant.Stage) (got variant.Image) {
	t.Helper()
	err := c.Transform(variant.Original{Body: original}, []variant.Spec{spec}, stage, testLimits, func(_ int, img variant.Image, err error) {
		if err != nil {
			t.Error(err)
		}
		got = img
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// An AVIF within the pixel limit of the request path has two stages. Everything else is final in both, with the same
// bytes unless it is measured only when nobody waits.
func TestStages(t *testing.T) {
	c := mustNew(t, EngineVips)
	original := pngOf(t, scene(1500, 1500))
	for _, tt := range []struct {
		name          string
		spec          variant.Spec
		stages, other bool
	}{
		{"avif", variant.Spec{Format: variant.AVIF, Width: 300}, true, true},
		{"avif, q as asked", variant.Spec{Format: variant.AVIF, Width: 300, Quality: 50}, true, true},
		{"avif, negotiated", variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptJPEG, Width: 300}, true, true},
		{"avif above the bound", variant.Spec{Format: variant.AVIF, Width: 1450}, false, true},
		{"avif above the bound, q as asked", variant.Spec{Format: variant.AVIF, Width: 1450, Quality: 50}, false, false},
		{"jxl", variant.Spec{Format: variant.JXL, Width: 300}, true, true},
		{"jxl, q as asked", variant.Spec{Format: variant.JXL, Width: 300, Quality: 50}, true, true},
		{"jxl above the bound, q as asked", variant.Spec{Format: variant.JXL, Width: 1450, Quality: 50}, false, false},
		{"webp", variant.Spec{Format: variant.WebP, Width: 300}, false, true},
		{"jpeg", variant.Spec{Format: variant.JPEG, Width: 300}, false, true},
		{"jpeg, q as asked", variant.Spec{Format: variant.JPEG, Width: 300, Quality: 70}, false, false},
		{"jpeg, a bound on bytes", variant.Spec{Format: variant.JPEG, Width: 300, MaxBytes: 9000}, false, false},
		{"png", variant.Spec{Format: variant.PNG, Width: 100}, false, false},
	} {
		if !writes(tt.spec.Format) {
			continue
		}
		first, final := staged(t, c, original, tt.spec, variant.StageFirst), staged(t, c, original, tt.spec, variant.StageFinal)
		if got := first.Stage == variant.StageFirst; got != tt.stages || final.Stage != variant.StageFinal {
			t.Errorf("%s: got stage %d for the first and %d for the final one", tt.name, first.Stage, final.Stage)
		}
		if same := bytes.Equal(first.Body, final.Body); same == tt.other {
			t.Errorf("%s: the bytes of both stages are the same: %v", tt.name, same)
		}
		if first.Format != final.Format || first.Width != final.Width {
			t.Errorf("%s: got %s of %d px, then %s of %d px", tt.name, first.Format, first.Width, final.Format, final.Width)
		}
	}
}

// A hot variant reaches the target of the final one in fewer bytes, with more work. Other formats, and pictures that
// are not measured, are made as final ones.
func TestHotIsSmallerAtTheSameScore(t *testing.T) {
	c := mustShare(t, EngineVips)
	original := pngOf(t, meadow(800, 600))
	for class, target := range map[variant.Class]float64{variant.ClassNormal: 70, variant.ClassHigh: 80, variant.ClassSaver: 50} {
		spec := variant.Spec{Format: variant.AVIF, Class: class, Width: 500}
		final, hot := staged(t, c, original, spec, variant.StageFinal), staged(t, c, original, spec, variant.StageHot)
		if hot.Stage != variant.StageHot || final.Stage != variant.StageFinal || len(hot.Body) > len(final.Body)*19/20 {
			t.Errorf("class %v: stage %d of %d bytes, final %d: %s", class, hot.Stage, len(hot.Body), len(final.Body), hot.Choice.Tried)
		}
		if hot.Choice.Score < target-choose.ScoreSlack || hot.Choice.Score > target+4 {
			t.Errorf("class %v: %.1f, the target is %v: %s", class, hot.Choice.Score, target, hot.Choice.Tried)
		}
	}
	for _, spec := range []variant.Spec{
		{Format: variant.WebP, Width: 300}, {Format: variant.JPEG, Width: 300}, {Format: variant.AVIF, Width: 300, Quality: 50},
		{Format: variant.AVIF, Width: 300, MaxBytes: 5000}, {Format: variant.PNG, Width: 100},
		{Format: variant.JXL, Width: 300},
	} {
		if !writes(spec.Format) {
			continue
		}
		final, hot := staged(t, c, original, spec, variant.StageFinal), staged(t, c, original, spec, variant.StageHot)
		if hot.Stage != variant.StageFinal || !bytes.Equal(final.Body, hot.Body) {
			t.Errorf("%+v: stage %d, the same bytes: %v", spec, hot.Stage, bytes.Equal(final.Body, hot.Body))
		}
	}
}

// The first AVIF of a grey photo keeps the target of its class as that of a coloured one does.
func TestGreyPhotosKeepTheirTargetAtOnce(t *testing.T) {
	c := mustShare(t, EngineVips)
	for class, least := range map[variant.Class]float64{variant.ClassNormal: 69.5, variant.ClassSaver: 46} {
		sum, n := 0.0, 0
		for _, s := range specimen.All() {
			if s.Print {
				continue
			}
			samples := s.Draw()
			grey := image.NewGray(image.Rect(0, 0, specimen.Side, specimen.Side))
			for i := range grey.Pix {
				grey.Pix[i] = samples[3*i+1]
			}
			original := pngOf(t, grey)
			made := staged(t, c, original, variant.Spec{Format: variant.AVIF, Class: class}, variant.StageFirst)
			score := scoreOf(t, original, made.Body)
			sum, n = sum+score, n+1
		}
		if mean := sum / float64(n); mean < least {
			t.Errorf("class %v: %.1f on average, want at least %v", class, mean, least)
		}
	}
}
