package codec

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// pdfOf is a document of two pages: the first with the given box, entries and content, the second green.
func pdfOf(t testing.TB, box, entries, content string) []byte {
	t.Helper()
	if !vips.HasOperation("pdfload_buffer") {
		t.Skip("this libvips reads no PDF")
	}
	stream := func(s string) string { return fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(s), s) }
	page := "<</Type/Page/Parent 2 0 R/MediaBox%s/Contents %d 0 R/Resources<</Font<</F 7 0 R>>>>%s>>"
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R" + entries + ">>", "<</Type/Pages/Kids[3 0 R 5 0 R]/Count 2>>",
		fmt.Sprintf(page, box, 4, ""), stream(content),
		fmt.Sprintf(page, box, 6, ""), stream("0 1 0 rg 0 0 9999 9999 re f"),
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
	}
	b := []byte("%PDF-1.4\n")
	var table strings.Builder
	for i, o := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", len(b))
		b = fmt.Appendf(b, "%d 0 obj%sendobj\n", i+1, o)
	}
	return fmt.Appendf(b, "xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n",
		len(objects)+1, table.String(), len(objects)+1, len(b))
}

// leftRed fills the left half of a page of 200 x 100 points.
const leftRed = "1 0 0 rg 0 0 100 100 re f"

// The first page is drawn at the requested size on white; its edges are sharp at every size.
func TestPDFIsDrawnAtTheSizeAskedFor(t *testing.T) {
	c := mustShare(t, "")
	file := pdfOf(t, "[0 0 200 100]", "", leftRed)
	for _, x := range []struct {
		spec          variant.Spec
		width, height int
	}{
		{variant.Spec{}, 400, 200}, {variant.Spec{Width: 100}, 100, 50}, {variant.Spec{Width: 1600}, 1600, 800},
		{variant.Spec{Width: 300, Height: 300, Resize: variant.Fill}, 300, 300},
	} {
		x.spec.Format = variant.PNG
		img := must(t, c, file, x.spec)
		if img.Width != x.width || img.Height != x.height || img.SourceFormat != "pdf" {
			t.Errorf("%+v: %d x %d of %s", x.spec, img.Width, img.Height, img.SourceFormat)
			continue
		}
		m := decoded(t, img.Body)
		wantColour(t, m, x.width/2-3, x.height/2, color.NRGBA{255, 0, 0, 255}, 2)
		wantColour(t, m, x.width/2+3, x.height/2, color.NRGBA{255, 255, 255, 255}, 2)
	}
	huge := must(t, c, pdfOf(t, "[0 0 14400 7200]", "", leftRed), variant.Spec{Format: variant.WebP})
	if huge.Width != 2048 || huge.Height != 1024 {
		t.Errorf("a page of five metres: %d x %d", huge.Width, huge.Height)
	}
}

// A broken or locked document is refused; scripts, actions and links to files have no effect.
func TestHostilePDF(t *testing.T) {
	c := mustShare(t, "")
	whole := pdfOf(t, "[0 0 200 100]", "", leftRed)
	want := must(t, c, whole, variant.Spec{Format: variant.PNG, Width: 50})
	for name, entries := range map[string]string{
		"a script":         "/OpenAction<</S/JavaScript/JS(while\\(1\\){})>>",
		"a program":        "/OpenAction<</S/Launch/F(/bin/sh)>>",
		"a form elsewhere": "/OpenAction<</S/SubmitForm/F(http://127.0.0.1/x)>>",
	} {
		file := pdfOf(t, "[0 0 200 100]", entries, leftRed)
		got, err := one(t, c, file, variant.Spec{Format: variant.PNG, Width: 50}, testLimits)
		if err != nil || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%s: %v, or another picture", name, err)
		}
	}
	kids := []byte("/Kids[3 0 R 5 0 R]/Count 2")
	for name, b := range map[string][]byte{
		"nothing but its ends": []byte("%PDF-1.4\n%%EOF\n"),
		"without pages":        bytes.Replace(whole, kids, []byte("/Kids[]/Count 0           "), 1),
	} {
		_, err := one(t, c, b, variant.Spec{Format: variant.PNG}, testLimits)
		if fault.KindOf(err) != fault.DecodeFailed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A worker in a closed sandbox draws the same as the library outside; text in a missing font does not fail it. A
// document that takes too long ends its worker, but fails no other picture.
func TestPDFInTheSandbox(t *testing.T) {
	file := pdfOf(t, "[0 0 200 100]", "", leftRed)
	p, watch := realPool(t, func(c *transform.Config) {
		c.Workers, c.CPU, c.Inputs = 1, 2*time.Second, append(c.Inputs, "pdf")
	})
	c := mustShare(t, "")
	spec := variant.Spec{Width: 300, Format: variant.PNG}
	draw := func(b []byte) (img variant.Image, failed error) {
		err := p.Transform(t.Context(), variant.Original{Body: b}, []variant.Spec{spec}, variant.StageFinal,
			func(_ int, made variant.Image, err error) { img, failed = made, err })
		return img, cmp.Or(err, failed)
	}
	for range 3 {
		img, err := draw(file)
		if err != nil || !bytes.Equal(img.Body, must(t, c, file, spec).Body) {
			t.Fatalf("in the sandbox: %v, or another picture", err)
		}
		text := pdfOf(t, "[0 0 200 100]", "", leftRed+" BT /F 40 Tf 110 30 Td 0 g (Abc) Tj ET")
		if _, err := draw(text); err != nil {
			t.Errorf("text in a font that is not embedded: %v", err)
		}
	}
	slow := pdfOf(t, "[0 0 2000 2000]", "", "1 0 0 rg\n"+strings.Repeat("0 0 2000 2000 re f\n", 1_000_000))
	if _, err := draw(slow); fault.KindOf(err) != fault.TooCostly && fault.KindOf(err) != fault.TransformTimeout {
		t.Errorf("a million layers: %v", err)
	}
	if _, err := draw(file); err != nil {
		t.Errorf("after it: %v", err)
	}
	if n := watch.ended["crashed"]; n > 0 {
		t.Errorf("%d workers crashed", n)
	}
}
