package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// TestGIFCanvasIsTheFiles uses pictures whose only frame does not fill the canvas, with the sizes that libnsgif
// replaces.
func TestGIFCanvasIsTheFiles(t *testing.T) {
	c := mustNew(t, "")
	for _, s := range []image.Point{{100, 80}, {640, 480}, {640, 512}, {800, 600}, {1024, 768}, {1280, 1024}, {1600, 1200}, {2200, 90}, {70, 2100}} {
		b := gifOf(t, &gif.GIF{Config: image.Config{Width: s.X, Height: s.Y}, Image: []*image.Paletted{patch(image.Rect(20, 10, 60, 50), red)}})
		got := decoded(t, must(t, c, b, variant.Spec{Format: variant.PNG}).Body)
		if got.Rect.Size() != s {
			t.Errorf("canvas %v: got %v", s, got.Rect.Size())
			continue
		}
		wantColour(t, got, 21, 11, red, 0)
		wantColour(t, got, 59, 49, red, 0)
		for _, p := range []image.Point{{19, 11}, {60, 49}, {21, 9}, {0, 0}, {s.X - 1, s.Y - 1}, {30, 50}} {
			wantColour(t, got, p.X, p.Y, none, 0)
		}
		small := decoded(t, must(t, c, b, variant.Spec{Format: variant.PNG, Width: s.X / 2}).Body)
		wantColour(t, small, 20, 15, red, 2)
		wantColour(t, small, 2, 2, none, 0)
	}
	full := gifOf(t, &gif.GIF{Image: []*image.Paletted{patch(image.Rect(0, 0, 40, 30), red)}})
	if in, err := sniff.Inspect(must(t, c, full, variant.Spec{Format: variant.PNG}).Body); err != nil || in.Alpha {
		t.Errorf("a GIF that fills its canvas came out with alpha: %+v, %v", in, err)
	}
}

// TestGIFOfEveryDisposalMoves tests each disposal method in a complete transform.
func TestGIFOfEveryDisposalMoves(t *testing.T) {
	c := mustNew(t, "")
	for _, disposal := range []byte{gif.DisposalNone, gif.DisposalBackground, gif.DisposalPrevious} {
		b := gifOf(t, &gif.GIF{
			Config: image.Config{Width: 60, Height: 30}, Disposal: []byte{gif.DisposalNone, disposal, gif.DisposalNone}, LoopCount: -1,
			Image: []*image.Paletted{patch(image.Rect(0, 0, 20, 30), red), patch(image.Rect(10, 0, 50, 30), green), patch(image.Rect(40, 0, 60, 30), blue)},
		})
		img, err := one(t, c, b, variant.Spec{Format: variant.WebP, Quality: 100}, animationLimits(5))
		if err != nil || img.Frames != 3 {
			t.Fatalf("disposal %d: %d frames, %v", disposal, img.Frames, err)
		}
	}
}

// TestGIFWithoutItsTrailerIsServed checks that the picture is served if its last frame is complete, and refused
// otherwise.
func TestGIFWithoutItsTrailerIsServed(t *testing.T) {
	c := mustNew(t, "")
	var quarter image.Paletted
	q := quarters(60, 40)
	quarter = *image.NewPaletted(q.Rect, color.Palette{red, green, blue, yellow})
	for i := range quarter.Pix {
		quarter.Set(i%60, i/60, q.NRGBAAt(i%60, i/60))
	}
	still := gifOf(t, &gif.GIF{Image: []*image.Paletted{&quarter}})
	want := must(t, c, still, variant.Spec{Format: variant.PNG}).Body
	for what, b := range map[string][]byte{
		"no trailer": still[:len(still)-1], "nor the end of the frame": still[:len(still)-2], "something else": append(bytes.Clone(still[:len(still)-1]), "\x7f\x7f\x7f"...),
	} {
		got, err := one(t, c, b, variant.Spec{Format: variant.PNG}, testLimits)
		if err != nil || !bytes.Equal(got.Body, want) {
			t.Errorf("%s: %v, want the same picture", what, err)
		}
	}
	film := movie(t, 3)
	for cut, kind := range map[int]fault.Kind{1: "", 2: "", 20: fault.TruncatedSource, 90: fault.TruncatedSource} {
		for _, spec := range []variant.Spec{{Format: variant.WebP}, {Format: variant.PNG}} {
			img, err := one(t, c, film[:len(film)-cut], spec, animationLimits(5))
			if fault.KindOf(err) != kind || err == nil && spec.Format == variant.WebP && img.Frames != 3 {
				t.Errorf("a film without its last %d bytes to %s: %d frames, %v; want %q", cut, spec.Format, img.Frames, err, kind)
			}
		}
	}
}
