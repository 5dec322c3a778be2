package codec

import (
	"bytes"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/variant"
)

// masterOf makes the master of an original within a bound, and returns it with the original's properties.
func masterOf(t *testing.T, c *Codec, original []byte, bound int) (variant.Image, variant.Original) {
	t.Helper()
	img, err := one(t, c, original, variant.Spec{Master: true, Width: bound, Height: bound}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	return img, variant.Original{Body: img.Body, Master: &variant.Master{
		Width: img.SourceWidth, Height: img.SourceHeight, Format: img.SourceFormat, Bytes: int64(len(original)), Exact: img.Exact,
	}}
}

// from makes one variant of an original or a master.
func from(t *testing.T, c *Codec, original variant.Original, spec variant.Spec) variant.Image {
	t.Helper()
	var got variant.Image
	err := c.Transform(original, []variant.Spec{spec}, variant.StageFinal, testLimits, func(_ int, img variant.Image, err error) {
		if err != nil {
			t.Errorf("%+v: %v", spec, err)
		}
		got = img
	})
	if err != nil {
		t.Errorf("%+v: %v", spec, err)
	}
	return got
}

// A variant of a master has the same size as that of the original, reports the same source, and looks the same.
func TestVariantsOfAMaster(t *testing.T) {
	c := mustNew(t, "")
	originals := map[string][]byte{
		"turned":          withOrientation(jpegOf(t, scene(1300, 900), 92), 6),
		"png with alpha":  pngOf(t, clearScene(1200, 800)),
		"another profile": readCorpus(t, "photos", "portrait-adobergb.jpg"),
		"grey":            jpegOf(t, image.NewGray(image.Rect(0, 0, 1200, 900)), 92),
	}
	specs := map[string]variant.Spec{
		"fit":          {Width: 300},
		"fill":         {Width: 200, Height: 240, Resize: variant.Fill},
		"fill to west": {Width: 100, Height: 260, Resize: variant.Fill, Gravity: variant.Gravity{Kind: variant.West}},
		"force":        {Width: 200, Height: 100, Resize: variant.Force},
		"crop":         {Crop: variant.Crop{Width: 700, Height: 500, Gravity: variant.Gravity{Kind: variant.NorthEast, X: 11, Y: 7}, GravitySet: true}, Width: 201},
		"crop share":   {Crop: variant.Crop{Width: 0.7, Height: 0.5}, Width: 150},
		"focus":        {Width: 160, Height: 160, Resize: variant.Fill, Gravity: variant.Gravity{Kind: variant.FocusPoint, X: 0.2, Y: 0.9}},
		"turned":       {Width: 240, Rotate: 90, Flip: variant.Flip{FlipH: true}},
		"on a canvas":  {Width: 200, Height: 300, Extend: true, Padding: variant.Padding{Top: 5, Left: 9}},
		"dpr":          {Width: 100, DPR: 2},
		"at least":     {Width: 100, Height: 100, MinWidth: 180},
		"blurred":      {Width: 250, Blur: 2},
	}
	for name, original := range originals {
		img, master := masterOf(t, c, original, 640)
		if long := max(img.Width, img.Height); img.Exact || long > 640 || long < 576 || img.Frames != 1 {
			t.Errorf("%s: a master of %d x %d", name, img.Width, img.Height)
		}
		if bytes.Contains(img.Body, []byte("Exif")) || bytes.Contains(img.Body, []byte("ICC_PROFILE")) {
			t.Errorf("%s: the master has metadata", name)
		}
		for what, spec := range specs {
			spec.Format = variant.PNG
			want, got := must(t, c, original, spec), from(t, c, master, spec)
			if got.Width != want.Width || got.Height != want.Height || got.SourceWidth != want.SourceWidth || got.SourceHeight != want.SourceHeight || got.SourceFormat != want.SourceFormat {
				t.Errorf("%s, %s: %d x %d of %s %d x %d, want %d x %d of %s %d x %d", name, what, got.Width, got.Height, got.SourceFormat, got.SourceWidth, got.SourceHeight,
					want.Width, want.Height, want.SourceFormat, want.SourceWidth, want.SourceHeight)
				continue
			}
			if worst, mean := unlike(decoded(t, got.Body), decoded(t, want.Body), 10); worst > 10 || mean > 2 { // A crop may be off by half a pixel of the master.
				t.Errorf("%s, %s: unlike by %.2f at worst, %.3f on average", name, what, worst, mean)
			}
		}
	}
}

// A picture that JPEG cannot hold, or would blur, has a lossless master; a small picture is its own master.
func TestKindsOfMasters(t *testing.T) {
	c := mustNew(t, "")
	text := readCorpus(t, "photos", "lineart-1bit.png")
	small := jpegOf(t, scene(500, 400), 80)
	for _, tt := range []struct {
		name     string
		original []byte
		format   variant.Format
		lossless bool
		exact    bool
	}{
		{"photo", jpegOf(t, scene(1500, 1000), 90), variant.JPEG, false, false},
		{"alpha", pngOf(t, clearScene(1200, 800)), variant.WebP, true, false},
		{"print", text, variant.WebP, true, false},
		{"small", small, variant.JPEG, true, true},
		{"small and turned", withOrientation(small, 6), variant.JPEG, false, false},
	} {
		img, _ := masterOf(t, c, tt.original, 640)
		if img.Format != tt.format || (img.Quality == 0) != tt.lossless || img.Exact != tt.exact {
			t.Errorf("%s: %s q%d, exact %v (%s)", tt.name, img.Format, img.Quality, img.Exact, img.Note)
		}
	}
	exact, master := masterOf(t, c, small, 640)
	if len(exact.Body) > len(small) || !bytes.Equal(decoded(t, exact.Body).Pix, decoded(t, small).Pix) {
		t.Errorf("%d bytes of %d are kept of an original without metadata, or other pixels", len(exact.Body), len(small))
	}
	for _, spec := range []variant.Spec{{Width: 300, Format: variant.WebP, Quality: 80}, {Format: variant.JPEG, Accepts: variant.AcceptJPEG}} {
		if !bytes.Equal(from(t, c, master, spec).Body, final(t, c, small, spec).Body) {
			t.Errorf("%+v: other bytes of the original and of its exact master", spec)
		}
	}
}

// No variant of a master is larger than the original, even if the master is smaller.
func TestNeverLargerThanTheMastersOriginal(t *testing.T) {
	c := mustNew(t, "")
	original := jpegOf(t, scene(1500, 1000), 90)
	_, master := masterOf(t, c, original, 1024)
	open := variant.Spec{Width: 700, Format: variant.JPEG, Accepts: variant.AcceptJPEG}
	plain := from(t, c, master, open)
	master.Master.Bytes = int64(len(plain.Body))
	if got := from(t, c, master, open); len(got.Body) >= len(plain.Body) {
		t.Errorf("%d bytes, the original has %d (%s)", len(got.Body), len(plain.Body), got.Note)
	}
}

// A master is made together with the variants of a call. It hardly changes them.
func TestMasterInOneCall(t *testing.T) {
	c := mustNew(t, "")
	original := jpegOf(t, scene(1500, 1000), 90)
	specs := []variant.Spec{{Width: 300, Format: variant.PNG}, {Master: true, Width: 800, Height: 800}}
	got := make([]variant.Image, 2)
	err := c.Transform(variant.Original{Body: original}, specs, variant.StageFinal, testLimits, func(i int, img variant.Image, err error) {
		if err != nil {
			t.Error(err)
		}
		got[i] = img
	})
	if err != nil || got[1].Width != 750 || got[1].Format != variant.JPEG {
		t.Fatalf("a master of %d x %d in %s (%v)", got[1].Width, got[1].Height, got[1].Format, err)
	}
	if worst, mean := unlike(decoded(t, got[0].Body), decoded(t, must(t, c, original, specs[0]).Body), 10); worst > 6 || mean > 1 {
		t.Errorf("the variant is unlike the one made alone: by %.2f at worst, %.3f on average", worst, mean)
	}
}

// Scale, which decides whether a master is large enough before it is read, is never less than the plan then needs.
func TestScaleBoundsThePlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...float64) float64 { return of[r.IntN(len(of))] }
	for range 20_000 {
		s := variant.Spec{
			Resize: variant.ResizeMode(r.IntN(5)), Width: int(pick(0, 0, 100, 777, 3000)), Height: int(pick(0, 0, 90, 640, 5000)),
			MinWidth: int(pick(0, 0, 0, 300)), MinHeight: int(pick(0, 0, 0, 400)), ZoomX: pick(0, 0, 0.5, 2), ZoomY: pick(0, 0, 0.5, 3),
			DPR: pick(0, 1, 1.5, 3), Enlarge: r.IntN(2) == 0, Extend: r.IntN(3) == 0, Rotate: 90 * r.IntN(4),
			Crop: variant.Crop{Width: pick(0, 0, 0.3, 900), Height: pick(0, 0, 0.6, 350)},
		}
		w, h := 50+r.IntN(4000), 50+r.IntN(4000)
		p, err := geometry.NewPlan(s, geometry.Size{W: w, H: h}, geometry.Orientation{}, 1<<40)
		if err != nil {
			continue
		}
		// Sides are rounded to whole pixels.
		needs := math.Max((float64(p.Scaled.W)-0.6)/(float64(p.Crop.Size.W)+0.5), (float64(p.Scaled.H)-0.6)/(float64(p.Crop.Size.H)+0.5))
		if got := s.Scale(w, h); got < needs && got < 1 && p.Scaled.W > 1 && p.Scaled.H > 1 {
			t.Fatalf("%+v of %d x %d: scale %.4f, the plan has %v of %v", s, w, h, got, p.Scaled, p.Crop.Size)
		}
	}
}
