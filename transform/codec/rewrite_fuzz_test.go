package codec

import (
	"bytes"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// FuzzRewriteContainer holds the rewriter to its words on any bytes: what it gives has the same pixels, no planted text in a place that
// is not compressed, and is its own rewriting.
func FuzzRewriteContainer(f *testing.F) {
	names := []variant.Format{variant.JPEG, variant.PNG, variant.WebP, variant.GIF}
	for _, p := range allPlanted(f) {
		f.Add(slices.Index(names, p.format), p.body)
	}
	c := mustNew(f, "")
	f.Fuzz(func(t *testing.T, n int, b []byte) {
		format := names[max(n%len(names), 0)]
		info, err := sniff.Inspect(b)
		if err != nil || sourceFormat(info.Format) != format || !info.Complete || info.Pixels() > 1<<16 || info.Frames > 1 {
			return
		}
		got, err := rewriteContainer(format, b[:info.End])
		if err != nil {
			return
		}
		if traces(got) {
			t.Error("a planted text is still there")
		}
		if again, err := rewriteContainer(format, got); err != nil || !bytes.Equal(got, again) {
			t.Fatalf("rewritten twice it differs: %v", err)
		}
		spec := variant.Spec{Format: variant.PNG}
		want, err := one(t, c, b, spec, testLimits)
		if err != nil || info.Orientation > 1 || info.Profile {
			return // A decoder that refuses the original never passes it on; profiles and turns are converted.
		}
		if img, err := one(t, c, got, spec, testLimits); err != nil || !bytes.Equal(img.Body, want.Body) {
			t.Errorf("%s: %v, or other pixels", format, err)
		}
	})
}
