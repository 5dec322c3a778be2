package codec

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

func gifOf(t testing.TB, g *gif.GIF) []byte {
	t.Helper()
	for len(g.Delay) < len(g.Image) {
		g.Delay = append(g.Delay, 5)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// patch is a frame of one colour.
func patch(r image.Rectangle, c color.NRGBA) *image.Paletted {
	p := image.NewPaletted(r, color.Palette{black, c})
	for i := range p.Pix {
		p.Pix[i] = 1
	}
	return p
}

// TestGIFCanvasIsTheFiles gives pictures whose only frame does not fill the canvas, with the sizes that libnsgif does
// not believe.
func TestGIFCanvasIsTheFiles(t *testing.T) {
	c := mustNew(t, "")
	for _, s := range []image.Point{{100, 80}, {640, 480}, {640, 512}, {800, 600}, {1024, 768}, {1280, 1024}, {1600, 1200}, {2200, 90}, {70, 2100}} {
		b := gifOf(t, &gif.GIF{Config: image.Config{Width: s.X, Height: s.Y}, Image: []*image.Paletted{patch(image.Rect(20, 10, 60, 50), red)}})
		got := decode(t, must(t, c, b, variant.Spec{Format: variant.PNG}).Body)
		if got.Rect.Size() != s {
			t.Errorf("canvas %v: got %v", s, got.Rect.Size())
			continue
		}
		wantColour(t, got, 21, 11, red, 0)
		wantColour(t, got, 59, 49, red, 0)
		for _, p := range []image.Point{{19, 11}, {60, 49}, {21, 9}, {0, 0}, {s.X - 1, s.Y - 1}, {30, 50}} {
			wantColour(t, got, p.X, p.Y, none, 0)
		}
		small := decode(t, must(t, c, b, variant.Spec{Format: variant.PNG, Width: s.X / 2}).Body)
		wantColour(t, small, 20, 15, red, 2)
		wantColour(t, small, 2, 2, none, 0)
	}
	full := gifOf(t, &gif.GIF{Image: []*image.Paletted{patch(image.Rect(0, 0, 40, 30), red)}})
	if in, err := sniff.Inspect(must(t, c, full, variant.Spec{Format: variant.PNG}).Body); err != nil || in.Alpha {
		t.Errorf("a GIF that fills its canvas came out with alpha: %+v, %v", in, err)
	}
}

// TestGIFFramesAreDrawnOnWhatWasLeft goes through the ways in which a frame may leave the canvas.
func TestGIFFramesAreDrawnOnWhatWasLeft(t *testing.T) {
	c := mustNew(t, "")
	left, right, middle := image.Rect(0, 0, 20, 30), image.Rect(40, 0, 60, 30), image.Rect(10, 0, 50, 30)
	for name, tt := range map[string]struct {
		disposal byte
		want     [3]color.NRGBA // left, middle, right of the last frame
	}{
		"kept":       {gif.DisposalNone, [3]color.NRGBA{red, green, blue}},
		"background": {gif.DisposalBackground, [3]color.NRGBA{none, none, blue}},
		"previous":   {gif.DisposalPrevious, [3]color.NRGBA{red, none, blue}},
	} {
		b := gifOf(t, &gif.GIF{
			Config: image.Config{Width: 60, Height: 30}, Disposal: []byte{gif.DisposalNone, tt.disposal, gif.DisposalNone}, LoopCount: -1,
			Image: []*image.Paletted{patch(left, red), patch(middle, green), patch(right, blue)},
		})
		img, err := one(t, c, b, variant.Spec{Format: variant.WebP, Quality: 100}, animationLimits(5))
		if err != nil || img.Frames != 3 {
			t.Fatalf("%s: %d frames, %v", name, img.Frames, err)
		}
		g := parseGIF(b, size{60, 30})
		pixels := make([]byte, 3*60*30*4)
		if err := g.draw(pixels, 3); err != nil {
			t.Fatal(err)
		}
		got := &image.NRGBA{Pix: pixels[2*60*30*4:], Stride: 240, Rect: image.Rect(0, 0, 60, 30)}
		if tt.disposal == gif.DisposalBackground {
			tt.want[0] = red
			wantColour(t, got, 15, 15, none, 0) // Red was drawn over, and what lay on it was wiped.
		}
		if tt.disposal == gif.DisposalPrevious {
			wantColour(t, got, 15, 15, red, 0)
		}
		for i, want := range tt.want {
			wantColour(t, got, 5+25*i, 15, want, 0)
		}
		if g.loop != 1 {
			t.Errorf("%s: shown %d times, want once", name, g.loop)
		}
	}
}

// TestGIFAgreesWithGo decodes noise, plain and interlaced, of every number of colours, as image/gif does.
func TestGIFAgreesWithGo(t *testing.T) {
	for bits := 1; bits <= 8; bits++ {
		palette := make(color.Palette, 1<<bits)
		for i := range palette {
			palette[i] = color.NRGBA{byte(i * 7), byte(255 - i), byte(i * i), 255}
		}
		for _, repeat := range []int{1, 9, 400} { // Short strings of codes, long ones, and the longest.
			p := image.NewPaletted(image.Rect(0, 0, 157, 121), palette)
			seed := uint32(bits)
			for i := range p.Pix {
				if i%repeat == 0 {
					seed = seed*1664525 + 1013904223
				}
				p.Pix[i] = byte(seed>>16) & byte(len(palette)-1)
			}
			b := gifOf(t, &gif.GIF{Image: []*image.Paletted{p}})
			want, err := gif.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4*157*121)
			if err := parseGIF(b, size{157, 121}).draw(got, 1); err != nil {
				t.Fatalf("%d bits: %v", bits, err)
			}
			sameAs(t, fmt.Sprintf("%d bits, runs of %d", bits, repeat), got, want)
			laced := bytes.Clone(b)
			at := bytes.LastIndex(laced, []byte("\x2c\x00\x00\x00\x00\x9d\x00\x79\x00"))
			laced[at+9] |= 0x40
			if want, err = gif.Decode(bytes.NewReader(laced)); err != nil {
				t.Fatal(err)
			}
			if err := parseGIF(laced, size{157, 121}).draw(got, 1); err != nil {
				t.Fatalf("%d bits, interlaced: %v", bits, err)
			}
			sameAs(t, fmt.Sprintf("%d bits, runs of %d, interlaced", bits, repeat), got, want)
		}
	}
}

func sameAs(t *testing.T, what string, pixels []byte, want image.Image) {
	t.Helper()
	w := want.Bounds().Dx()
	for i := 0; i < len(pixels); i += 4 {
		c := color.NRGBAModel.Convert(want.At(i/4%w, i/4/w)).(color.NRGBA)
		if got := (color.NRGBA{pixels[i], pixels[i+1], pixels[i+2], pixels[i+3]}); got != c {
			t.Fatalf("%s: pixel %d is %v, want %v", what, i/4, got, c)
		}
	}
}

// TestGIFWithoutItsTrailerIsServed wants the picture as long as its last frame is whole, and refuses it otherwise.
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

func FuzzGIF(f *testing.F) {
	f.Add(movie(f, 3))
	f.Add(gifOf(f, &gif.GIF{Config: image.Config{Width: 9, Height: 9}, Image: []*image.Paletted{patch(image.Rect(2, 3, 7, 8), red)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := sniff.Inspect(b)
		if err != nil || in.Format != "gif" || in.Pixels() > 1<<16 {
			return
		}
		g := parseGIF(b, size{in.Width, in.Height})
		if len(g.frames) != in.Frames && len(g.frames) > 0 {
			t.Fatalf("%d frames, the header reader saw %d", len(g.frames), in.Frames)
		}
		g.whole()
		n := min(len(g.frames), 4)
		_ = g.draw(make([]byte, int(in.Pixels())*4*n), n)
	})
}
