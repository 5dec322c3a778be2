package codec

import (
	"encoding/json"
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// The document describes the original: its upright size, its bytes, its frames. The result is a valid document outside
// the worker, and is the same whether it is made alone or with variants that share its pixels.
func TestAbout(t *testing.T) {
	flat := func(w, h int, c color.NRGBA) *image.NRGBA {
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		codectest.Fill(img, img.Rect, c)
		return img
	}
	half := flat(60, 40, color.NRGBA{0, 0, 255, 255})
	codectest.Fill(half, image.Rect(0, 0, 31, 40), color.NRGBA{})
	turned := withOrientation(jpegOf(t, flat(900, 600, color.NRGBA{128, 128, 128, 255}), 95), 6)
	c := mustNew(t, EngineVips)
	svg := `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">` +
		`<rect width="40" height="20" fill="#0a0b0c"/></svg>`
	for name, tt := range map[string]struct {
		original []byte
		want     about.Document
	}{
		"turned": {turned, about.Document{
			Format: "jpeg", Width: 600, Height: 900, Orientation: 6, Kind: "seen", Dominant: "#808080",
		}},
		"partly clear, tiny": {codectest.PNG(t, half), about.Document{
			Format: "png", Width: 60, Height: 40, Orientation: 1, Alpha: true, Dominant: "#0000ff",
		}},
		"all clear": {codectest.PNG(t, flat(9, 9, color.NRGBA{})), about.Document{
			Format: "png", Width: 9, Height: 9, Orientation: 1, Alpha: true,
		}},
		"svg": {[]byte(svg), about.Document{
			Format: "svg", Width: 40, Height: 20, Orientation: 1, Kind: "seen", Dominant: "#0a0b0c",
		}},
	} {
		spec := variant.Spec{Format: variant.Info}
		img, err := one(t, c, tt.original, spec, testLimits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got about.Document
		if err := json.Unmarshal(img.Body, &got); err != nil || about.Check(img.Body) != nil {
			t.Errorf("%s: %s: %v, %v", name, img.Body, err, about.Check(img.Body))
		}
		if got.Placeholder == "" {
			t.Errorf("%s: there is no placeholder", name)
		}
		if got.Kind != "" {
			got.Kind = "seen"
		}
		tt.want.Size, tt.want.Frames, got.Placeholder = int64(len(tt.original)), 1, ""
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		specs := []variant.Spec{{Width: 800, Height: 800, Format: variant.PNG}, spec, {Width: 40, Format: variant.JPEG}}
		check := func(i int, beside variant.Image, err error) {
			if err != nil || i == 1 && string(beside.Body) != string(img.Body) {
				t.Errorf("%s, %d: %v: %s\nalone: %s", name, i, err, beside.Body, img.Body)
			}
		}
		from := variant.Original{Body: tt.original}
		if err := c.Transform(from, specs, variant.StageFinal, testLimits, check); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
