package weight

import (
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// Heavy depends on the URL and on the original.
func TestHeavy(t *testing.T) {
	spec := func(w int, f variant.Format) variant.Spec { return variant.Spec{Width: w, Format: f} }
	original := func(format string, w, h int) variant.Original {
		return variant.Original{Body: []byte("x"), Info: sniff.Info{Format: format, Width: w, Height: h}}
	}
	none := variant.Original{}
	gif := func(bytes int) variant.Original {
		return variant.Original{Body: make([]byte, bytes), Info: sniff.Info{Format: "gif", Width: 2000, Height: 1500}}
	}
	open := variant.Spec{Format: variant.WebP, Accepts: variant.AcceptWebP}
	for name, c := range map[string]struct {
		spec     variant.Spec
		original variant.Original
		want     bool
	}{
		"random dots in two colours":        {open, gif(440_000), true},
		"random dots as PNG, by name":       {variant.Spec{Format: variant.PNG}, gif(440_000), false},
		"a drawing":                         {open, gif(100_000), false},
		"a thumbnail of anything":           {spec(200, variant.JPEG), none, false},
		"what phones get":                   {spec(800, variant.AVIF), original("jpeg", 4000, 3000), false},
		"a large AVIF":                      {spec(1600, variant.AVIF), none, true},
		"a large AVIF of a small original":  {spec(1600, variant.AVIF), original("jpeg", 640, 480), false},
		"a whole photo as JPEG":             {spec(0, variant.JPEG), original("jpeg", 4000, 3000), false},
		"a whole photo as AVIF":             {spec(0, variant.AVIF), original("jpeg", 4000, 3000), true},
		"a thumbnail of a large screenshot": {spec(200, variant.JPEG), original("png", 5000, 3000), true},
		"twice the pixels by dpr":           {variant.Spec{Width: 800, DPR: 2, Format: variant.AVIF}, none, true},
	} {
		if got := Heavy(c.spec, c.original); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
