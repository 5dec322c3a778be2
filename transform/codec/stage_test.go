package codec

import (
	"bytes"
	"testing"

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

// Only an AVIF within the pixel bound of the request path has two stages; everything else is final in either, and the same bytes.
func TestOnlyAVIFHasTwoStages(t *testing.T) {
	c := mustNew(t, EngineVips)
	original := pngOf(t, scene(1500, 1500))
	for _, tt := range []struct {
		name   string
		spec   variant.Spec
		stages bool
	}{
		{"avif", variant.Spec{Format: variant.AVIF, Width: 300}, true},
		{"avif, q as asked", variant.Spec{Format: variant.AVIF, Width: 300, Quality: 50}, true},
		{"avif, negotiated", variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptJPEG, Width: 300}, true},
		{"avif above the bound", variant.Spec{Format: variant.AVIF, Width: 1450}, false},
		{"webp", variant.Spec{Format: variant.WebP, Width: 300}, false},
		{"jpeg", variant.Spec{Format: variant.JPEG, Width: 300}, false},
		{"png", variant.Spec{Format: variant.PNG, Width: 100}, false},
	} {
		first, final := staged(t, c, original, tt.spec, variant.StageFirst), staged(t, c, original, tt.spec, variant.StageFinal)
		if got := first.Stage == variant.StageFirst; got != tt.stages || final.Stage != variant.StageFinal {
			t.Errorf("%s: got stage %d for the first and %d for the final one", tt.name, first.Stage, final.Stage)
		}
		if same := bytes.Equal(first.Body, final.Body); same == tt.stages {
			t.Errorf("%s: the bytes of both stages are the same: %v", tt.name, same)
		}
		if first.Format != final.Format || first.Width != final.Width {
			t.Errorf("%s: got %s of %d px, then %s of %d px", tt.name, first.Format, first.Width, final.Format, final.Width)
		}
	}
}
