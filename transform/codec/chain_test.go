package codec

import (
	"fmt"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/variant"
)

// A picture made from a larger one of the same call has the same size as when it is made alone, and looks the same.
// Where this is not allowed, the pixels are identical.
func TestMadeFromALargerOne(t *testing.T) {
	c := mustNew(t, "")
	rotated := withOrientation(jpegOf(t, scene(1300, 900), 92), 6)
	originals := map[string][]byte{
		"jpeg": rotated, "png with alpha": pngOf(t, clearScene(1200, 800)), "grey": readCorpus(t, "photos", "flower-grey.jpg"),
		"another profile": readCorpus(t, "photos", "portrait-adobergb.jpg"),
		"webp":            must(t, c, pngOf(t, scene(1200, 900)), variant.Spec{Format: variant.WebP, Quality: 90}).Body,
	}
	larger := variant.Spec{Width: 600, Format: variant.PNG}
	for _, tt := range []struct {
		name    string
		spec    variant.Spec
		follows bool
	}{
		{"smaller", variant.Spec{Width: 300, Format: variant.PNG}, true},
		{"filling a box", variant.Spec{Width: 200, Height: 200, Resize: variant.Fill, Format: variant.PNG}, true},
		{"on a canvas", variant.Spec{Width: 200, Height: 300, Extend: true, Format: variant.PNG}, true},
		{"blurred", variant.Spec{Width: 250, Blur: 2, Format: variant.PNG}, true},
		{"too near in size", variant.Spec{Width: 500, Format: variant.PNG}, false},
		{"cropped first", variant.Spec{Crop: variant.Crop{Width: 300, Height: 300}, Width: 100, Format: variant.PNG}, false},
		{"turned", variant.Spec{Width: 300, Flip: variant.Flip{FlipH: true}, Format: variant.PNG}, false},
	} {
		for name, original := range originals {
			alone := must(t, c, original, tt.spec)
			var got variant.Image
			err := c.Transform(variant.Original{Body: original}, []variant.Spec{tt.spec, larger}, variant.StageFinal, testLimits, func(i int, img variant.Image, err error) {
				if err != nil {
					t.Errorf("%s of %s: %v", tt.name, name, err)
				}
				if i == 0 {
					got = img
				}
			})
			if err != nil || got.Width != alone.Width || got.Height != alone.Height {
				t.Errorf("%s of %s: %d x %d (%v), alone %d x %d", tt.name, name, got.Width, got.Height, err, alone.Width, alone.Height)
				continue
			}
			worst, mean := unlike(decoded(t, got.Body), decoded(t, alone.Body), 10)
			if same := worst == 0 && mean == 0; same == tt.follows || worst > 6 || mean > 1 {
				t.Errorf("%s of %s: unlike by %.2f at worst, %.3f on average", tt.name, name, worst, mean)
			}
		}
	}
}

// Pictures of one call are made from large to small, each from the next larger one.
func TestChain(t *testing.T) {
	group := func(w int, s variant.Spec) []*render.Job {
		s.Width = w
		p, err := geometry.NewPlan(s, geometry.Size{W: 4000, H: 3000}, geometry.Orientation{}, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		return []*render.Job{{Spec: s, Plan: p, Frames: 1}}
	}
	groups := [][]*render.Job{
		group(320, variant.Spec{}), group(600, variant.Spec{Blur: 3}), group(1080, variant.Spec{}), group(640, variant.Spec{}),
		group(200, variant.Spec{Flip: variant.Flip{FlipH: true}}), group(300, variant.Spec{}),
	}
	follows := render.Chained(groups)
	got := ""
	for i, g := range groups {
		got += fmt.Sprintf("%d %v %v, ", g[0].Plan.Scaled.W, follows[i], render.Leads(groups[i:]))
	}
	const want = "1080 false true, 640 true true, 600 true false, 320 true false, 300 true false, 200 false false, "
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
