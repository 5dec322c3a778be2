package verbatim

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"maps"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

func picture(t *testing.T, encode func(w *bytes.Buffer, im image.Image) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, image.NewPaletted(image.Rect(0, 0, 30, 20), color.Palette{color.Black})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOf(t *testing.T) {
	pngFile := picture(t, func(w *bytes.Buffer, im image.Image) error { return png.Encode(w, im) })
	gifFile := picture(t, func(w *bytes.Buffer, im image.Image) error { return gif.Encode(w, im, nil) })
	svg := []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>`)
	raw := variant.Spec{Format: variant.Raw, Keep: variant.Keep{Raw: true}}
	small := raw
	small.Limits.Pixels = 599
	skip := variant.Spec{Format: variant.WebP, Accepts: variant.AcceptPNG}
	skip.Unprocessed = variant.AcceptPNG
	pdf := variant.Original{Body: []byte("%PDF"), Info: sniff.Info{Format: "pdf", Width: 9, Height: 9}}
	if _, ok, err := Of(pdf, raw); ok || fault.KindOf(err) != fault.UnsupportedFormat {
		t.Errorf("raw PDF: %v, %v", ok, err)
	}
	for name, test := range map[string]struct {
		body   []byte
		spec   variant.Spec
		format variant.Format // "" = it is not the original
		kind   fault.Kind
	}{
		"raw PNG":                      {pngFile, raw, variant.PNG, ""},
		"raw GIF":                      {gifFile, raw, variant.GIF, ""},
		"raw SVG":                      {svg, raw, "", fault.UnsupportedFormat},
		"raw HTML":                     {[]byte("<!doctype html><script>"), raw, "", fault.NotAnImage},
		"too many pixels":              {pngFile, small, "", fault.TooManyPixels},
		"unprocessed PNG":              {pngFile, skip, variant.PNG, ""},
		"a GIF where PNGs are":         {gifFile, skip, "", ""},
		"an SVG where PNGs are":        {svg, skip, "", ""},
		"neither":                      {pngFile, variant.Spec{Format: variant.PNG}, "", ""},
		"a broken header, unprocessed": {pngFile[:9], skip, "", ""},
	} {
		img, ok, err := Of(variant.Original{Body: test.body}, test.spec)
		if ok != (test.format != "") || img.Format != test.format || fault.KindOf(err) != test.kind {
			t.Errorf("%s: %s, %v, %v", name, img.Format, ok, err)
		}
		if ok && (!bytes.Equal(img.Body, test.body) || &img.Body[0] == &test.body[0] || img.Width != 30) {
			t.Errorf("%s: it is not a copy of the original", name)
		}
	}
}

// An entry of a type that the store's filter hides is made again at each request that memory does not answer.
func TestStoresShowWhatIsSentAsItIs(t *testing.T) {
	inner := cache.NewMemory(1 << 20).Store()
	shown := cache.Images(inner)
	types := []variant.Format{variant.JPEG, variant.PNG, variant.WebP, variant.AVIF, variant.GIF, variant.JXL, variant.Info}
	for _, f := range slices.Concat(types, slices.Collect(maps.Values(formats))) {
		e := cachetest.Entry("one", 100)
		e.ContentType = f.MediaType()
		if err := inner.Put(t.Context(), "v1/ab/hash/w480", e); err != nil {
			t.Fatal(err)
		}
		if _, err := shown.Get(t.Context(), "v1/ab/hash/w480"); err != nil {
			t.Errorf("%s: %v", f.MediaType(), err)
		}
	}
}
