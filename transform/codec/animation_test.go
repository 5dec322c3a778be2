package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/sequence"
	"github.com/goldcrest/goldcrest/variant"
)

func animationLimits(frames int) Limits {
	l := testLimits
	l.Frames = frames
	return l
}

func TestAnimationPolicy(t *testing.T) {
	open := func(f variant.Format, a variant.FormatSet) variant.Spec { return variant.Spec{Format: f, Accepts: a} }
	frames := func(pixels int64) variant.Spec {
		return variant.Spec{Format: variant.WebP, Limits: variant.Limits{FramePixels: pixels}}
	}
	tests := []struct {
		name   string
		spec   variant.Spec
		lim    Limits
		format variant.Format
		frames int
		want   fault.Kind
	}{
		{"still by default", variant.Spec{Format: variant.GIF}, testLimits, variant.GIF, 1, ""},
		{"gif", variant.Spec{Format: variant.GIF}, animationLimits(10), variant.GIF, 3, ""},
		{"webp", variant.Spec{Format: variant.WebP}, animationLimits(3), variant.WebP, 3, ""},
		{"jpg has no frames", variant.Spec{Format: variant.JPEG}, animationLimits(10), variant.JPEG, 1, ""},
		{"avif is a still", variant.Spec{Format: variant.AVIF}, animationLimits(10), variant.AVIF, 1, ""},
		{"asked and too long", variant.Spec{Format: variant.WebP}, animationLimits(2), "", 0, fault.TooManyFrames},
		{"the URL lowers to a still", variant.Spec{Format: variant.WebP, Limits: variant.Limits{Frames: 1}}, animationLimits(10), variant.WebP, 1, ""},
		{"frames small enough", frames(2400), animationLimits(10), variant.WebP, 3, ""},
		{"frames too large", frames(2399), animationLimits(10), "", 0, fault.TooManyFrames},
		{"open and frames too large is a still", variant.Spec{Format: variant.WebP, Accepts: acceptWebP,
			Limits: variant.Limits{FramePixels: 2399}}, animationLimits(10), variant.WebP, 1, ""},
		{"the URL lowers below the length", variant.Spec{Format: variant.WebP, Limits: variant.Limits{Frames: 2}}, animationLimits(10), "", 0, fault.TooManyFrames},
		{"open, avif client", open(variant.AVIF, acceptAll), animationLimits(10), variant.WebP, 3, ""},
		{"open, jpeg client that takes gif", open(variant.JPEG, acceptAny), animationLimits(10), variant.GIF, 3, ""},
		{"open, jpeg only", open(variant.JPEG, variant.AcceptJPEG), animationLimits(10), variant.JPEG, 1, ""},
		{"open and too long is a still", open(variant.WebP, acceptWebP), animationLimits(2), variant.WebP, 1, ""},
	}
	c := mustNew(t, "")
	original := movie(t, 3)
	for _, tt := range tests {
		tt.spec.Width = 30
		img, err := one(t, c, original, tt.spec, tt.lim)
		if fault.KindOf(err) != tt.want || img.Format != tt.format || img.Frames != tt.frames {
			t.Errorf("%s: %d frames of %q, %v; want %d of %q, %q", tt.name, img.Frames, img.Format, err, tt.frames, tt.format, tt.want)
			continue
		}
		if err != nil {
			continue
		}
		in, err := sniff.Inspect(img.Body)
		if err != nil || in.Frames != tt.frames || in.Width != 30 || in.Height != 20 || img.Width != 30 || img.Height != 20 || img.SourceFrames != 3 {
			t.Errorf("%s: the body is %+v, %v", tt.name, in, err)
		}
	}
}

// TestAnimatedAVIF makes animations as AVIF where that is allowed and libheif can.
func TestAnimatedAVIF(t *testing.T) {
	lim := animationLimits(10)
	lim.AnimatedAVIF = true
	small := lim
	small.AVIFPixels = 100
	open := variant.Spec{Format: variant.AVIF, Accepts: acceptAll}
	noWebP := variant.Spec{Format: variant.AVIF, Accepts: variant.AcceptAVIF | variant.AcceptGIF | variant.AcceptJPEG}
	tests := []struct {
		name string
		spec variant.Spec
		lim  Limits
		want variant.Format
	}{
		{"named", variant.Spec{Format: variant.AVIF}, lim, variant.AVIF},
		{"negotiated, but larger than the original", open, lim, variant.WebP},
		{"the client takes WebP", variant.Spec{Format: variant.WebP, Accepts: acceptWebP}, lim, variant.WebP},
		{"too large", open, small, variant.WebP},
		{"too large, no WebP", noWebP, small, variant.GIF},
	}
	c := mustNew(t, "")
	for _, tt := range tests {
		tt.spec.Width = 30
		want, frames := tt.want, 3
		if want == variant.AVIF && !sequence.Supported() {
			frames = 1
		}
		img, err := one(t, c, movie(t, 3), tt.spec, tt.lim)
		if err != nil || img.Format != want || img.Frames != frames {
			t.Errorf("%s: %d frames of %q, %v; want %d of %q", tt.name, img.Frames, img.Format, err, frames, want)
			continue
		}
		in, err := sniff.Inspect(img.Body)
		if err != nil || in.Width != 30 || in.Height != 20 || !in.Alpha || !in.Complete {
			t.Errorf("%s: the body is %+v, %v", tt.name, in, err)
		}
		// Decoders that play no animation show the first frame.
		m := decoded(t, must(t, c, img.Body, variant.Spec{Format: variant.PNG}).Body)
		wantColour(t, m, 4, 10, red, 60)
		wantColour(t, m, 15, 10, none, 20)
	}
	long := lim
	long.Frames = 2
	_, err := one(t, c, movie(t, 3), variant.Spec{Format: variant.AVIF}, long)
	if sequence.Supported() && fault.KindOf(err) != fault.TooManyFrames {
		t.Errorf("too long: %v", err)
	}
}

// TestAnimatedAVIFIsTheSmallest compares the final variant of a film with what each encoder makes of it. A tiny
// animation is smaller as WebP.
func TestAnimatedAVIFIsTheSmallest(t *testing.T) {
	if !sequence.Supported() {
		t.Skip("this libheif writes no sequences")
	}
	c, lim := mustNew(t, ""), animationLimits(50)
	lim.AnimatedAVIF = true
	make := func(original []byte, spec variant.Spec, stage variant.Stage) (got variant.Image) {
		emit := func(_ int, img variant.Image, err error) {
			if got = img; err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Transform(variant.Original{Body: original}, []variant.Spec{spec}, stage, lim, emit); err != nil {
			t.Fatal(err)
		}
		return got
	}
	film := readCorpus(t, "photos", "cradle-anim.gif")
	open := variant.Spec{Format: variant.AVIF, Accepts: acceptAll, Width: 100}
	first, final := make(film, open, variant.StageFirst), make(film, open, variant.StageFinal)
	other := make(film, variant.Spec{Format: variant.WebP, Width: 100}, variant.StageFinal)
	if first.Format != variant.AVIF || first.Stage != variant.StageFirst || 2*len(first.Body) > len(other.Body) {
		t.Errorf("first: %s of %d bytes, stage %d; WebP %d", first.Format, len(first.Body), first.Stage, len(other.Body))
	}
	if final.Format != variant.AVIF || final.Stage != variant.StageFinal || len(final.Body) > len(first.Body) {
		t.Errorf("final: %s of %d bytes, stage %d", final.Format, len(final.Body), final.Stage)
	}
	if final.Choice.Score < final.Choice.Target-1 || first.Choice.Score != 0 {
		t.Errorf("final: %+v; first: %+v", final.Choice, first.Choice)
	}
	named := make(film, variant.Spec{Format: variant.AVIF, Width: 100, Quality: 30}, variant.StageFinal)
	if named.Choice.Score != 0 || named.Quality != 30 {
		t.Errorf("with a q of the URL: q %d, %+v", named.Quality, named.Choice)
	}
	if tiny := make(movie(t, 3), open, variant.StageFinal); tiny.Format != variant.WebP || tiny.Frames != 3 {
		t.Errorf("a tiny one: %d frames of %s, %d bytes", tiny.Frames, tiny.Format, len(tiny.Body))
	}
}

func TestAnimationKeepsTimesLoopAndFrames(t *testing.T) {
	c := mustNew(t, "")
	img, err := one(t, c, movie(t, 3), variant.Spec{Format: variant.GIF, Width: 30}, animationLimits(5))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gif.DecodeAll(bytes.NewReader(img.Body))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Delay, []int{5, 10, 15}) || g.LoopCount != 2 {
		t.Errorf("delays %v, loop %d, want 5 10 15 and 2", g.Delay, g.LoopCount)
	}
	webp, err := one(t, c, movie(t, 3), variant.Spec{Format: variant.WebP, Width: 30}, animationLimits(5))
	if err != nil {
		t.Fatal(err)
	}
	back, err := one(t, c, webp.Body, variant.Spec{Format: variant.GIF}, animationLimits(5))
	if err != nil {
		t.Fatal(err)
	}
	if g, err = gif.DecodeAll(bytes.NewReader(back.Body)); err != nil || !slices.Equal(g.Delay, []int{5, 10, 15}) || len(g.Image) != 3 {
		t.Fatalf("through WebP: %v, delays %v", err, g.Delay)
	}
	still := decoded(t, must(t, c, webp.Body, variant.Spec{Format: variant.PNG}).Body)
	wantColour(t, still, 4, 10, red, 40)
	wantColour(t, still, 15, 10, none, 10)
	wantColour(t, still, 26, 10, none, 10)
}

// TestAnimationFrames pads and turns an animation, and checks each frame.
func TestAnimationFrames(t *testing.T) {
	c := mustNew(t, "")
	spec := variant.Spec{Format: variant.GIF, Width: 20, Rotate: 90, Padding: variant.Padding{Top: 4}, Background: variant.Color{Set: true, R: 255, G: 255, B: 255}}
	img, err := one(t, c, movie(t, 3), spec, animationLimits(5))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gif.DecodeAll(bytes.NewReader(img.Body))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 3 || g.Config.Width != 20 || g.Config.Height != 34 {
		t.Fatalf("%d frames of %dx%d, want 3 of 20x34", len(g.Image), g.Config.Width, g.Config.Height)
	}
	canvas := image.NewNRGBA(image.Rect(0, 0, 20, 34))
	for i, frame := range g.Image {
		for y := frame.Bounds().Min.Y; y < frame.Bounds().Max.Y; y++ {
			for x := frame.Bounds().Min.X; x < frame.Bounds().Max.X; x++ {
				if c := color.NRGBAModel.Convert(frame.At(x, y)).(color.NRGBA); c.A > 0 {
					canvas.SetNRGBA(x, y, c)
				}
			}
		}
		wantColour(t, canvas, 10, 1, white, 10)
		for j, want := range []color.NRGBA{red, green, blue} {
			if j != i {
				want = white
			}
			wantColour(t, canvas, 10, 4+10*j+5, want, 40)
		}
	}
}

func TestAnimationCorpus(t *testing.T) {
	c := mustNew(t, "")
	for file, frames := range map[string]int{"banana-anim.gif": 8, "cradle-anim.gif": 36, "squares-anim.webp": 4} {
		original := readCorpus(t, "photos", file)
		in, err := sniff.Inspect(original)
		if err != nil {
			t.Fatal(err)
		}
		if in.Frames < 2 {
			t.Errorf("%s: %d frames, want about %d", file, in.Frames, frames)
		}
		for _, f := range []variant.Format{variant.WebP, variant.GIF} {
			img, err := one(t, c, original, variant.Spec{Format: f, Width: 60}, animationLimits(100))
			if err != nil || img.Frames != in.Frames || img.Width != 60 {
				t.Errorf("%s to %s: %d frames, %d px wide, %v; want %d", file, f, img.Frames, img.Width, err, in.Frames)
			}
		}
	}
}
