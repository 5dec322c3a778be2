package codec

import (
	"encoding/base64"
	"image"
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

// writes reports whether this libvips has an encoder for a format.
func writes(f variant.Format) bool {
	return f != variant.JXL || vips.WritesJXL()
}

// A JPEG XL has the pixels, the alpha and the greys of its picture, and no metadata, also where a sandbox encloses its
// encoder. A lower q gives fewer
// bytes.
func TestJXLIsWritten(t *testing.T) {
	if !writes(variant.JXL) {
		t.Skip("this libvips writes no JPEG XL")
	}
	clear := meadow(320, 240)
	for i := 3; i < len(clear.Pix); i += 4 {
		clear.Pix[i] = byte(i / 1280)
	}
	grey := image.NewGray(image.Rect(0, 0, 320, 240))
	for i := range grey.Pix {
		grey.Pix[i] = byte(i / 320)
	}
	p, _ := realPool(t, func(c *transform.Config) { c.Workers = 1 })
	var specs []variant.Spec
	for _, q := range []uint8{100, 80, 50, 10} {
		specs = append(specs, variant.Spec{Format: variant.JXL, Quality: q})
	}
	for name, original := range map[string]image.Image{"colour": meadow(320, 240), "alpha": clear, "grey": grey} {
		body := pngOf(t, original)
		want := decoded(t, body)
		size := 1 << 20
		made := map[uint8][]byte{}
		emit := func(i int, img variant.Image, err error) {
			if err != nil || img.Format != variant.JXL {
				t.Errorf("%s, q%d: %s, %v", name, specs[i].Quality, img.Format, err)
			}
			made[specs[i].Quality] = img.Body
		}
		if err := p.Transform(t.Context(), variant.Original{Body: body}, specs, variant.StageFinal, emit); err != nil {
			t.Fatal(err)
		}
		for _, s := range specs {
			if n := len(made[s.Quality]); name == "colour" && n >= size {
				t.Errorf("q%d takes %d bytes, a higher one %d", s.Quality, n, size)
			} else {
				size = n
			}
		}
		if worst, mean := unlike(decoded(t, made[100]), want, 16); worst > 6 || mean > 1 {
			t.Errorf("%s: q100 is %.1f off on average, %.1f at worst", name, mean, worst)
		}
	}
}

// An open URL whose client takes JPEG XL gets it, with alpha too. One that names it gets a still of an animation.
func TestJXLIsNegotiated(t *testing.T) {
	if !writes(variant.JXL) {
		t.Skip("this libvips writes no JPEG XL")
	}
	c := mustShare(t, "")
	order := variant.Negotiation{Formats: []string{"jxl", "avif", "webp"}}
	accept := variant.ParseAccept("image/jxl,image/avif,image/webp", order)
	clear := meadow(400, 300)
	clear.Pix[3] = 0
	for name, tt := range map[string]struct {
		original []byte
		spec     variant.Spec
		want     variant.Format
	}{
		"photo":           {pngOf(t, meadow(400, 300)), variant.Spec{Width: 200}.Resolve(accept), variant.JXL},
		"alpha":           {pngOf(t, clear), variant.Spec{Width: 200}.Resolve(accept), variant.JXL},
		"above the bound": {pngOf(t, scene(1500, 1500)), variant.Spec{}.Resolve(accept), variant.WebP},
		"named":           {pngOf(t, scene(1500, 1500)), variant.Spec{Format: variant.JXL, Quality: 40}, variant.JXL},
	} {
		if img := must(t, c, tt.original, tt.spec); img.Format != tt.want || img.Frames != 1 {
			t.Errorf("%s: %s of %d frames, want %s: %s", name, img.Format, img.Frames, tt.want, img.Note)
		}
	}
}
