package codec

import (
	"bytes"
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// cmykJPEG is a CMYK JPEG of one colour.
func cmykJPEG(t testing.TB, inks []byte) []byte {
	t.Helper()
	im, err := vips.FromPixels(bytes.Repeat(inks, 32*32), 32, 32, 4)
	if err == nil {
		err = im.MarkCMYK()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer im.Free()
	b, err := im.Save(vips.Saving{Format: variant.JPEG, Q: 95, FullChroma: true, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestProfileOfAnotherColourSpaceIsIgnored checks that a profile for another colour space has no effect.
func TestProfileOfAnotherColourSpaceIsIgnored(t *testing.T) {
	c := mustNew(t, "")
	profiles := map[string][]byte{"GRAY": greyICC(1.4), "CMYK": cmykICC(), "RGB ": displayP3ICC()}
	flat := func(c color.NRGBA) *image.NRGBA {
		img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
		fill(img, img.Rect, c)
		return img
	}
	solid, glass := flat(red), flat(color.NRGBA{220, 30, 30, 128})
	greyed := image.NewGray(solid.Rect)
	for i := range greyed.Pix {
		greyed.Pix[i] = 120
	}
	grey := color.NRGBA{120, 120, 120, 255}
	webp := func(img image.Image) []byte {
		return must(t, c, pngOf(t, img), variant.Spec{Format: variant.WebP, Quality: 100}).Body
	}
	avif := must(t, c, pngOf(t, solid), variant.Spec{Format: variant.AVIF, Quality: 95}).Body
	inks := cmykJPEG(t, []byte{20, 200, 200, 40})
	rgb, cmyk := bytes.Repeat([]byte{220, 30, 30}, 32*32), bytes.Repeat([]byte{20, 200, 200, 40}, 32*32)
	anyOf := func(b []byte) color.NRGBA {
		return decoded(t, must(t, c, b, variant.Spec{Format: variant.PNG}).Body).NRGBAAt(16, 16)
	}
	for _, tt := range []struct {
		what, space string
		file        func(profile []byte) []byte
		want        color.NRGBA
	}{
		{"jpeg", "RGB ", func(p []byte) []byte { return jpegWithICC(jpegOf(t, solid, 95), p) }, red},
		{"grey jpeg", "GRAY", func(p []byte) []byte { return jpegWithICC(jpegOf(t, greyed, 95), p) }, grey},
		{"cmyk jpeg", "CMYK", func(p []byte) []byte { return jpegWithICC(inks, p) }, anyOf(inks)},
		{"png", "RGB ", func(p []byte) []byte { return pngWithICC(t, pngOf(t, solid), p) }, red},
		{"png with alpha", "RGB ", func(p []byte) []byte { return pngWithICC(t, pngOf(t, glass), p) }, glass.NRGBAAt(0, 0)},
		{"grey png", "GRAY", func(p []byte) []byte { return pngWithICC(t, pngOf(t, greyed), p) }, grey},
		{"webp", "RGB ", func(p []byte) []byte { return webpWithICC(webp(solid), p, 32, 32, false) }, red},
		{"avif", "RGB ", func(p []byte) []byte {
			return avifWith(t, avif, isoBox("colr", []byte("prof"), p), nil)
		}, red},
		{"tiff", "RGB ", func(p []byte) []byte { return tiffOf(32, 32, 2, rgb, p) }, red},
		{"cmyk tiff", "CMYK", func(p []byte) []byte { return tiffOf(32, 32, 5, cmyk, p) }, anyOf(tiffOf(32, 32, 5, cmyk, nil))},
	} {
		for space, profile := range profiles {
			for _, spec := range []variant.Spec{{Format: variant.PNG}, {Format: variant.PNG, Width: 20}} {
				got, err := one(t, c, tt.file(profile), spec, testLimits)
				if err != nil {
					t.Errorf("%s with a profile for %s: %v", tt.what, space, err)
					continue
				}
				pixel := decoded(t, got.Body).NRGBAAt(10, 10)
				if ignored := near(pixel, tt.want, 6); ignored != (space != tt.space) {
					t.Errorf("%s with a profile for %s, width %d: %v, without %v: ignored %v", tt.what, space, spec.Width, pixel, tt.want, ignored)
				}
			}
		}
	}
}
