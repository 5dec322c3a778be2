package codec

import (
	"encoding/base64"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/specimen"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Lossless pictures of 40 x 24 in four colours; the second is half transparent. They were made with vips jxlsave.
const (
	quartersJXL = "" +
		"AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAASanhscAAAAAD/CgUIiAQAAAB8YnJvYkV4aWYbtwAAhAe+U/9dJndM" +
		"kLzSpVTQgBTXIqq2YHGsWCAXp7ABYWLd2yilCOKch8qfFNnx7gNdt1GjNAqZ8BWgWYVC7LHuHNDsImIcoQHvT14Ptuyu/LN8lnwr" +
		"OdK2TeFHCzGjj9SmFPqrNgzEngYZxgIAAAAAQGp4bHCAAAABCAQBALgASzhpmMqD9ysoCICakxODeIEgADTJCwAwifz7E2n9+zOp" +
		"/Pv7A0P8sUa/FgK+HA=="
	clearJXL = "" +
		"AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAASanhscAAAAAD/CgUIWAkAAAB8YnJvYkV4aWYbtwAAhAe+U/9dJndM" +
		"kLzSpVTQgBTXIqq2YHGsWCAXp7ABYWLd2yilCOKch8qfFNnx7gNdt1GjNAqZ8BWgWYVC7LHuHNDsImIcoQHvT14Ptuyu/LN8lnwr" +
		"OdK2TeFHCzGjj9SmFPqrNgzEngYZxgIAAAAARWp4bHCAAAABCBAQAMwASzhpmMqD9ysoCICakxNjjMMLCAEgSfgBYEnk3x9J5t/v" +
		"z7bc349J7A8gGNUHHveNHdFo"
)

func jxlOf(t testing.TB, text string) []byte {
	t.Helper()
	if !vips.HasOperation("jxlload_buffer") {
		t.Skip("this libvips reads no JPEG XL")
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A JPEG XL keeps its colours and its alpha, also in a sandbox; a truncated one is refused.
func TestJXLIsRead(t *testing.T) {
	c := mustShare(t, "")
	whole := jxlOf(t, quartersJXL)
	img := must(t, c, whole, variant.Spec{Format: variant.PNG})
	if img.Width != 40 || img.Height != 24 || img.SourceFormat != "jxl" {
		t.Errorf("%d x %d of %s", img.Width, img.Height, img.SourceFormat)
	}
	got := decoded(t, img.Body)
	for at, want := range map[[2]int]color.NRGBA{
		{5, 5}: {255, 0, 0, 255}, {35, 5}: {0, 255, 0, 255}, {5, 20}: {0, 0, 255, 255}, {35, 20}: {255, 255, 0, 255},
	} {
		wantColour(t, got, at[0], at[1], want, 2)
	}
	half := decoded(t, must(t, c, jxlOf(t, clearJXL), variant.Spec{Format: variant.PNG}).Body)
	wantColour(t, half, 5, 5, color.NRGBA{255, 0, 0, 128}, 2)
	for cut := range len(whole) {
		if _, err := one(t, c, whole[:cut], variant.Spec{Format: variant.PNG}, testLimits); err == nil {
			t.Errorf("%d of %d bytes were taken for the picture", cut, len(whole))
		} else if k := fault.KindOf(err); k == fault.Internal {
			t.Errorf("%d bytes: %v", cut, err)
		}
	}
	p, _ := realPool(t, func(c *transform.Config) { c.Workers = 1 })
	for _, body := range [][]byte{whole, specimen.JXL()} {
		err := p.Transform(t.Context(), variant.Original{Body: body}, []variant.Spec{{Width: 8, Format: variant.WebP}},
			variant.StageFinal,
			func(_ int, _ variant.Image, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		if err != nil {
			t.Error(err)
		}
	}
}
