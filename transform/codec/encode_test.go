package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

const (
	acceptAll  = variant.AcceptAVIF | variant.AcceptWebP | variant.AcceptPNG | variant.AcceptJPEG | variant.AcceptGIF
	acceptWebP = variant.AcceptWebP | variant.AcceptPNG | variant.AcceptJPEG | variant.AcceptGIF
	acceptAny  = variant.AcceptPNG | variant.AcceptJPEG | variant.AcceptGIF
)

// clearScene is a scene with a transparent quarter.
func clearScene(w, h int) *image.NRGBA {
	img := scene(w, h)
	fill(img, image.Rect(0, 0, w/2, h/2), none)
	return img
}

func TestFormatChoice(t *testing.T) {
	opaqueRGBA := pngOf(t, &image.NRGBA{Pix: scene(300, 200).Pix, Stride: 1200, Rect: image.Rect(0, 0, 300, 200)})
	alpha, photo := pngOf(t, clearScene(300, 200)), jpegOf(t, noise(300, 200, 1), 95)
	noAVIF := testLimits
	noAVIF.AVIFPixels = 1000
	bg := variant.Color{Set: true, G: 255}
	tests := []struct {
		name     string
		original []byte
		spec     variant.Spec
		lim      Limits
		want     variant.Format
	}{
		{"concrete", photo, variant.Spec{Format: variant.WebP}, testLimits, variant.WebP},
		{"concrete jpg of alpha", alpha, variant.Spec{Format: variant.JPEG}, testLimits, variant.JPEG},
		{"concrete avif beyond the open bound", photo, variant.Spec{Format: variant.AVIF}, noAVIF, variant.AVIF},
		{"nothing said", photo, variant.Spec{}, testLimits, variant.JPEG},
		{"open avif", photo, variant.Spec{Format: variant.AVIF, Accepts: acceptAll}, testLimits, variant.AVIF},
		{"avif too large, webp taken", photo, variant.Spec{Format: variant.AVIF, Accepts: acceptAll}, noAVIF, variant.WebP},
		{"avif too large, no webp", photo, variant.Spec{Format: variant.AVIF, Accepts: acceptAll &^ variant.AcceptWebP}, noAVIF, variant.JPEG},
		{"avif too large, nothing else taken", photo, variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF}, noAVIF, variant.AVIF},
		{"avif too large, alpha", alpha, variant.Spec{Format: variant.AVIF, Accepts: acceptAll &^ variant.AcceptWebP}, noAVIF, variant.PNG},
		{"alpha for a jpeg client that takes png", alpha, variant.Spec{Width: 200, Format: variant.JPEG, Accepts: acceptAny}, testLimits, variant.PNG},
		{"alpha for a jpeg client only", alpha, variant.Spec{Width: 200, Format: variant.JPEG, Accepts: variant.AcceptJPEG}, testLimits, variant.JPEG},
		{"alpha on a background", alpha, variant.Spec{Width: 200, Format: variant.JPEG, Accepts: acceptAny, Background: bg}, testLimits, variant.JPEG},
		{"alpha that says nothing", opaqueRGBA, variant.Spec{Width: 200, Format: variant.JPEG, Accepts: acceptAny}, testLimits, variant.JPEG},
	}
	c := mustNew(t, "")
	for _, tt := range tests {
		img, err := one(t, c, tt.original, tt.spec, tt.lim)
		if err != nil || img.Format != tt.want {
			t.Errorf("%s: got %s (%s), %v, want %s", tt.name, img.Format, img.Note, err, tt.want)
			continue
		}
		if got := sniff.Format(img.Body); !strings.HasPrefix(got, string(tt.want)[:2]) {
			t.Errorf("%s: the body is %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestBackground(t *testing.T) {
	c := mustNew(t, "")
	alpha := pngOf(t, clearScene(120, 80))
	greyAlpha := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	fill(greyAlpha, image.Rect(20, 0, 40, 40), color.NRGBA{90, 90, 90, 255})
	lime := variant.Color{Set: true, R: 50, G: 250, B: 50}
	for _, f := range formats {
		plain := decoded(t, must(t, c, alpha, variant.Spec{Format: f}).Body)
		if f == variant.JPEG {
			wantColour(t, plain, 5, 5, white, 6)
		} else {
			wantColour(t, plain, 5, 5, none, 3)
		}
		laid := decoded(t, must(t, c, alpha, variant.Spec{Format: f, Background: lime}).Body)
		wantColour(t, laid, 5, 5, color.NRGBA{50, 250, 50, 255}, 24)
		laid = decoded(t, must(t, c, pngOf(t, greyAlpha), variant.Spec{Format: f, Background: lime}).Body)
		wantColour(t, laid, 5, 5, color.NRGBA{50, 250, 50, 255}, 24)
		wantColour(t, laid, -5, 5, color.NRGBA{90, 90, 90, 255}, 24)
	}
}

func TestQualityOptions(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, scene(200, 150))
	size := func(spec variant.Spec) (int, int) {
		img := must(t, c, original, spec)
		return len(img.Body), img.Quality
	}
	for _, f := range formats {
		low, q := size(variant.Spec{Format: f, Quality: 1})
		high, _ := size(variant.Spec{Format: f, Quality: 85})
		if low >= high || q != 1 {
			t.Errorf("%s: q 1 gives %d bytes (reported q %d), q 85 gives %d", f, low, q, high)
		}
		fq, q := size(variant.Spec{Format: f, FormatQuality: variant.Qualities{JPEG: 1, PNG: 1, WebP: 1, AVIF: 1, GIF: 1}})
		if fq != low || q != 1 {
			t.Errorf("%s: format_quality 1 gives %d bytes at q %d, want %d", f, fq, q, low)
		}
		if both, _ := size(variant.Spec{Format: f, Quality: 85, FormatQuality: variant.Qualities{JPEG: 1, PNG: 1, WebP: 1, AVIF: 1, GIF: 1}}); both != high {
			t.Errorf("%s: quality does not beat format_quality", f)
		}
	}
	for _, f := range []variant.Format{variant.JPEG, variant.WebP, variant.AVIF} {
		saver, _ := size(variant.Spec{Format: f, Class: variant.ClassSaver})
		normal, _ := size(variant.Spec{Format: f})
		high, _ := size(variant.Spec{Format: f, Class: variant.ClassHigh})
		if saver >= normal || normal >= high {
			t.Errorf("%s: saver %d, normal %d, high %d bytes, want them rising", f, saver, normal, high)
		}
		photo, text := variant.Spec{Format: f, Class: variant.ClassSaver}, variant.Spec{Format: f, Class: variant.ClassSaver, Legible: variant.LegibleYes}
		if p, l := must(t, c, original, photo).Choice.Target, must(t, c, original, text).Choice.Target; p != 50 || l != 60 {
			t.Errorf("%s: a saver text aims at %g, a photo at %g", f, l, p)
		}
	}
}

func TestPNGIsTrueColourWithoutQuality(t *testing.T) {
	c := mustNew(t, "")
	original := scene(64, 48)
	lossless := must(t, c, pngOf(t, original), variant.Spec{Format: variant.PNG})
	if got := decoded(t, lossless.Body); !bytes.Equal(got.Pix, original.Pix) || lossless.Quality != 0 {
		t.Errorf("f:png changed pixels (q %d)", lossless.Quality)
	}
	in, err := sniff.Inspect(must(t, c, pngOf(t, original), variant.Spec{Format: variant.PNG, Quality: 60}).Body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(must(t, c, pngOf(t, original), variant.Spec{Format: variant.PNG, Quality: 60}).Body, []byte("PLTE")) {
		t.Errorf("f:png/q:60 has no palette: %+v", in)
	}
}

func TestMaxBytesAndAutoSize(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, scene(400, 300))
	for _, f := range []variant.Format{variant.JPEG, variant.WebP, variant.AVIF} {
		free := must(t, c, original, variant.Spec{Format: f, Quality: 90})
		smallest := must(t, c, original, variant.Spec{Format: f, Quality: 10})
		limit := (len(free.Body) + len(smallest.Body)) / 2
		for name, spec := range map[string]variant.Spec{
			"max_bytes":   {Format: f, Quality: 90, MaxBytes: limit},
			"autoquality": {Format: f, AutoSize: variant.AutoSize{Bytes: limit, Min: 10, Max: 90}},
		} {
			got := must(t, c, original, spec)
			if len(got.Body) > limit || len(got.Body) < limit/3 || got.Quality >= 90 {
				t.Errorf("%s %s %d: %d bytes at q %d (%s)", f, name, limit, len(got.Body), got.Quality, got.Note)
			}
		}
		impossible := must(t, c, original, variant.Spec{Format: f, MaxBytes: 50})
		if impossible.Quality != 10 || !strings.Contains(impossible.Note, "not enough") {
			t.Errorf("%s max_bytes 50: q %d, %q", f, impossible.Quality, impossible.Note)
		}
		floor := must(t, c, original, variant.Spec{Format: f, AutoSize: variant.AutoSize{Bytes: 50, Min: 40, Max: 60}})
		if floor.Quality != 40 {
			t.Errorf("%s autoquality floor: q %d, want 40", f, floor.Quality)
		}
		if roomy := must(t, c, original, variant.Spec{Format: f, MaxBytes: 10_000_000}); !bytes.Equal(roomy.Body, must(t, c, original, variant.Spec{Format: f}).Body) {
			t.Errorf("%s: a roomy max_bytes changed the picture", f)
		}
	}
}

func TestChroma(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, scene(64, 64))
	for _, tt := range []struct {
		spec variant.Spec
		want image.YCbCrSubsampleRatio
	}{
		{variant.Spec{Format: variant.JPEG, Legible: variant.LegibleYes}, image.YCbCrSubsampleRatio444},
		{variant.Spec{Format: variant.JPEG, Quality: 89}, image.YCbCrSubsampleRatio420},
		{variant.Spec{Format: variant.JPEG, Quality: 90}, image.YCbCrSubsampleRatio444},
		{variant.Spec{Format: variant.JPEG, Class: variant.ClassHigh}, image.YCbCrSubsampleRatio444},
	} {
		img := must(t, c, original, tt.spec)
		got, err := jpeg.Decode(bytes.NewReader(img.Body))
		if err != nil {
			t.Fatal(err)
		}
		if y := got.(*image.YCbCr); y.SubsampleRatio != tt.want {
			t.Errorf("q %d class %d: %v, want %v", tt.spec.Quality, tt.spec.Class, y.SubsampleRatio, tt.want)
		}
		if in, err := sniff.Inspect(img.Body); err != nil || !in.Progressive {
			t.Errorf("the JPEG is not progressive: %+v, %v", in, err)
		}
	}
}

func TestLimits(t *testing.T) {
	c := mustNew(t, "")
	original := pngOf(t, scene(200, 100))
	lim := func(f func(*Limits)) Limits { l := testLimits; f(&l); return l }
	tests := []struct {
		name string
		spec variant.Spec
		lim  Limits
		want fault.Kind
	}{
		{"pixels", variant.Spec{}, lim(func(l *Limits) { l.Pixels = 19_999 }), fault.TooManyPixels},
		{"the URL's pixels", variant.Spec{Limits: variant.Limits{Pixels: 19_999}}, testLimits, fault.TooManyPixels},
		{"the URL cannot raise", variant.Spec{Limits: variant.Limits{Pixels: 1 << 40}}, lim(func(l *Limits) { l.Pixels = 19_999 }), fault.TooManyPixels},
		{"the URL's bytes", variant.Spec{Limits: variant.Limits{Bytes: 100}}, testLimits, fault.SourceTooLarge},
		{"result", variant.Spec{Width: 4000, Enlarge: true}, lim(func(l *Limits) { l.ResultPixels = 1_000_000 }), fault.ResultTooLarge},
		{"result by trim", variant.Spec{Width: 4000, Enlarge: true, Trim: variant.Trim{On: true, Threshold: 5}}, lim(func(l *Limits) { l.ResultPixels = 1_000_000 }), fault.ResultTooLarge},
		{"within", variant.Spec{Limits: variant.Limits{Pixels: 20_000, Bytes: 1 << 20, Frames: 1}}, testLimits, ""},
	}
	for _, tt := range tests {
		if _, err := one(t, c, original, tt.spec, tt.lim); fault.KindOf(err) != tt.want {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
