package codec

import (
	"bytes"
	"cmp"
	"fmt"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/variant"
)

// A drawing of 24 x 12: one half red, one transparent.
const halves = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="12">` +
	`<rect width="12" height="12" fill="red"/></svg>`

// An SVG is drawn at the requested size: its edges are sharp even at 40 times its own size.
func TestSVGIsDrawnAtTheSizeAskedFor(t *testing.T) {
	c := mustShare(t, EngineVips)
	for _, tt := range []struct {
		spec          variant.Spec
		width, height int
		edge          int // the first transparent column
	}{
		{variant.Spec{}, 24, 12, 12},
		{variant.Spec{Width: 960}, 960, 480, 480},
		{variant.Spec{Width: 100, DPR: 2}, 200, 100, 100},
		{variant.Spec{Width: 10}, 10, 5, 5},
		{variant.Spec{Width: 300, Height: 300, Resize: variant.Force}, 300, 300, 150},
		{variant.Spec{Width: 300, Height: 300, Resize: variant.Fill}, 300, 300, 150},
		{variant.Spec{Width: 600, Crop: variant.Crop{Width: 12, Gravity: variant.Gravity{Kind: variant.West},
			GravitySet: true}}, 600, 600, 600},
		{variant.Spec{Width: 400, Trim: variant.Trim{On: true, Threshold: 10}}, 0, 0, 0},
	} {
		tt.spec.Format = variant.PNG
		img := must(t, c, []byte(halves), tt.spec)
		pic, err := png.Decode(bytes.NewReader(img.Body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.width == 0 {
			continue
		}
		if img.Width != tt.width || img.Height != tt.height {
			t.Errorf("%+v: %d x %d, want %d x %d", tt.spec, img.Width, img.Height, tt.width, tt.height)
			continue
		}
		for x := range img.Width {
			r, _, _, a := pic.At(x, img.Height/2).RGBA()
			if inside := x < tt.edge; (x < tt.edge-4 || x >= tt.edge+4) && (inside != (a == 0xffff) ||
				inside != (r == 0xffff) || !inside && a != 0) {
				t.Errorf("%+v: column %d of %d has red %x and alpha %x", tt.spec, x, img.Width, r, a)
				break
			}
		}
	}
}

// No hostile document does harm: it is refused, or drawn without the harmful parts.
func TestHostileSVG(t *testing.T) {
	c := mustShare(t, EngineVips)
	for name, want := range map[string]fault.Kind{
		"svg-billion-laughs.svg": fault.UnsupportedFormat, "svg-xxe.svg": fault.UnsupportedFormat,
		"svg-remote-image.svg": fault.UnsupportedFormat,
		"svg-script.svg":       "", "svg-huge.svg": "",
	} {
		_, err := one(t, c, readCorpus(t, "hostile", name), variant.Spec{Width: 100, Format: variant.WebP}, testLimits)
		if got := fault.KindOf(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	deep := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg">%s`, bytes.Repeat([]byte("<g>"), 100))
	if _, err := one(t, c, []byte(deep+`>`), variant.Spec{Width: 10, Format: variant.WebP},
		testLimits); fault.KindOf(err) != fault.TooCostly {
		t.Errorf("nested too deep: %v", err)
	}
}

// A worker in a closed sandbox draws the same text as the library outside. It opens no font file any more, however many
// sizes it draws. A document that takes too long ends its worker, but fails no other picture.
func TestSVGInTheSandbox(t *testing.T) {
	if _, text := svg.Open().Usable(); !text {
		t.Skip("librsvg or a font is not installed")
	}
	p, watch := realPool(t, func(c *transform.Config) { c.Workers = 1; c.CPU = 2 * time.Second })
	c := mustShare(t, EngineVips)
	draw := func(document string) (variant.Image, error) {
		var img variant.Image
		var failed error
		spec := variant.Spec{Width: 100, Format: variant.PNG}
		err := p.Transform(t.Context(), variant.Original{Body: []byte(document)}, []variant.Spec{spec},
			variant.StageFinal,
			func(_ int, made variant.Image, err error) { img, failed = made, err })
		return img, cmp.Or(err, failed)
	}
	text := func(style string, size int) string {
		return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">`+
			`<text y="60" %s font-size="%d">Äb</text></svg>`, style, size)
	}
	styles := []string{"", `font-weight="bold"`, `font-family="DejaVu Sans Mono"`,
		`font-family="DejaVu Serif" font-style="italic"`}
	for i := range 300 {
		if _, err := draw(text("", 10+i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, style := range styles {
		img, err := draw(text(style, 50))
		if err != nil {
			t.Fatal(err)
		}
		if want := must(t, c, []byte(text(style, 50)), variant.Spec{Width: 100,
			Format: variant.PNG}); !bytes.Equal(img.Body, want.Body) {
			t.Errorf("%s: the text is drawn in another way", style)
		}
	}
	slow := strings.Repeat(`<rect width="900" height="900" filter="url(#f)"/>`, 2000)
	slow = `<svg xmlns="http://www.w3.org/2000/svg" width="900" height="900">` +
		`<filter id="f"><feTurbulence numOctaves="9"/></filter>` + slow + `</svg>`
	if _, err := draw(slow); fault.KindOf(err) != fault.TooCostly && fault.KindOf(err) != fault.TransformTimeout {
		t.Errorf("a document of filters: %v", err)
	}
	if _, err := draw(text("", 50)); err != nil {
		t.Errorf("after it: %v", err)
	}
	if n := watch.ended["crashed"]; n > 0 {
		t.Errorf("%d workers crashed", n)
	}
}
