package codec

import (
	"encoding/base64"
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// told is what a ThumbHash says about the whole picture: the mean colour, the coverage, and the orientation.
type told struct {
	colour    color.NRGBA
	cover     float64 // the mean alpha
	landscape bool
}

func read(t *testing.T, hash string) told {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(hash)
	if err != nil || len(b) < 6 {
		t.Fatalf("%q is no Placeholder: %v", hash, err)
	}
	head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	l, p, q := float64(head&63)/63, float64(head>>6&63)/31.5-1, float64(head>>12&63)/31.5-1
	blue := l - 2.0/3*p
	red := (3*l - blue + q) / 2
	out := told{cover: 1, landscape: b[4]>>7 == 1}
	if head>>23 == 1 {
		out.cover = float64(b[5]&15) / 15
	}
	level := func(v float64) uint8 { return uint8(255*min(max(v, 0), 1) + 0.5) }
	out.colour = color.NRGBA{level(red), level(red - q), level(blue), 255}
	return out
}

func TestPlaceholderTellsMeanColourAndShape(t *testing.T) {
	flat := func(w, h int, c color.NRGBA) *image.NRGBA {
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		fill(img, img.Rect, c)
		return img
	}
	half := flat(600, 400, red)
	fill(half, image.Rect(300, 0, 600, 400), none)
	pink := color.NRGBA{238, 142, 142, 255} // red and white, half each
	grey := image.NewGray(image.Rect(0, 0, 300, 500))
	for i := range grey.Pix {
		grey.Pix[i] = 100
	}
	c := mustNew(t, EngineVips)
	for name, tt := range map[string]struct {
		original []byte
		spec     variant.Spec
		want     told
	}{
		"streamed":       {jpegOf(t, flat(900, 600, blue), 90), variant.Spec{Width: 300, Format: variant.JPEG}, told{blue, 1, true}},
		"streamed, AVIF": {jpegOf(t, flat(600, 900, green), 90), variant.Spec{Width: 300, Format: variant.AVIF}, told{green, 1, false}},
		"turned":         {withOrientation(jpegOf(t, flat(900, 600, blue), 90), 6), variant.Spec{Width: 300, Format: variant.WebP}, told{blue, 1, false}},
		"half there":     {pngOf(t, half), variant.Spec{Width: 300, Format: variant.WebP}, told{red, 0.5, true}},
		"half on white":  {pngOf(t, half), variant.Spec{Width: 300, Format: variant.JPEG}, told{pink, 1, true}},
		"half on blue":   {pngOf(t, half), variant.Spec{Width: 300, Format: variant.WebP, Background: variant.Color{Set: true, B: 220}}, told{color.NRGBA{110, 15, 125, 255}, 1, true}},
		"grey":           {pngOf(t, grey), variant.Spec{Width: 100, Format: variant.WebP}, told{color.NRGBA{100, 100, 100, 255}, 1, false}},
		"small":          {pngOf(t, flat(7, 3, yellow)), variant.Spec{Format: variant.PNG}, told{yellow, 1, true}},
		"strip":          {pngOf(t, flat(2000, 2, yellow)), variant.Spec{Format: variant.PNG}, told{yellow, 1, true}},
		"animation":      {movie(t, 3), variant.Spec{Format: variant.WebP}, read(t, must(t, c, movie(t, 3), variant.Spec{Format: variant.PNG}).Placeholder)},
	} {
		img, err := one(t, c, tt.original, tt.spec, animationLimits(10))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := read(t, img.Placeholder)
		if !near(got.colour, tt.want.colour, 6) || abs(int(100*got.cover)-int(100*tt.want.cover)) > 5 || got.landscape != tt.want.landscape {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// The placeholder does not depend on whether the encoder got the picture in one pass or from memory, nor on the other
// variants of the call, nor on the stage.
func TestPlaceholderIsTheSameForAllVariantsOfItsPixels(t *testing.T) {
	c := mustNew(t, EngineVips)
	original := jpegOf(t, scene(1200, 900), 92)
	alone := must(t, c, original, variant.Spec{Width: 400, Format: variant.JPEG}).Placeholder
	specs := []variant.Spec{{Width: 400, Format: variant.JPEG}, {Width: 400, Format: variant.WebP}, {Width: 400, Format: variant.AVIF}}
	for _, stage := range []variant.Stage{variant.StageFirst, variant.StageFinal} {
		n := 0
		err := c.Transform(variant.Original{Body: original}, specs, stage, testLimits, func(i int, img variant.Image, err error) {
			n++
			if err != nil || img.Placeholder != alone {
				t.Errorf("stage %d, %s: %q (%v), want %q", stage, specs[i].Format, img.Placeholder, err, alone)
			}
		})
		if err != nil || n != 3 || alone == "" {
			t.Errorf("stage %d: %d variants, placeholder %q, error %v", stage, n, alone, err)
		}
	}
}
