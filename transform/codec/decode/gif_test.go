package decode

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
)

// TestGIFFramesAreDrawnOnWhatWasLeft tests each disposal method of a frame.
func TestGIFFramesAreDrawnOnWhatWasLeft(t *testing.T) {
	left, right, middle := image.Rect(0, 0, 20, 30), image.Rect(40, 0, 60, 30), image.Rect(10, 0, 50, 30)
	for name, tt := range map[string]struct {
		disposal byte
		want     [3]color.NRGBA // left, middle, right of the last frame
	}{
		"kept":       {gif.DisposalNone, [3]color.NRGBA{codectest.Red, codectest.Green, codectest.Blue}},
		"background": {gif.DisposalBackground, [3]color.NRGBA{codectest.None, codectest.None, codectest.Blue}},
		"previous":   {gif.DisposalPrevious, [3]color.NRGBA{codectest.Red, codectest.None, codectest.Blue}},
	} {
		b := codectest.GIF(t, &gif.GIF{
			Config: image.Config{Width: 60, Height: 30}, Disposal: []byte{gif.DisposalNone, tt.disposal, gif.DisposalNone}, LoopCount: -1,
			Image: []*image.Paletted{
				codectest.Patch(left, codectest.Red), codectest.Patch(middle, codectest.Green), codectest.Patch(right, codectest.Blue),
			},
		})
		g := parseGIF(b, geometry.Size{W: 60, H: 30})
		pixels := make([]byte, 3*60*30*4)
		if err := g.draw(pixels, 3); err != nil {
			t.Fatal(err)
		}
		got := &image.NRGBA{Pix: pixels[2*60*30*4:], Stride: 240, Rect: image.Rect(0, 0, 60, 30)}
		if tt.disposal == gif.DisposalBackground {
			tt.want[0] = codectest.Red
			wantColour(t, got, image.Pt(15, 15), codectest.None) // Red was drawn over, and the upper frame was wiped.
		}
		if tt.disposal == gif.DisposalPrevious {
			wantColour(t, got, image.Pt(15, 15), codectest.Red)
		}
		for i, want := range tt.want {
			wantColour(t, got, image.Pt(5+25*i, 15), want)
		}
		if g.loop != 1 {
			t.Errorf("%s: shown %d times, want once", name, g.loop)
		}
	}
}

// TestGIFAgreesWithGo decodes noise of every number of colours, plain and interlaced, and compares with
// image/gif.
func TestGIFAgreesWithGo(t *testing.T) {
	for bits := 1; bits <= 8; bits++ {
		palette := make(color.Palette, 1<<bits)
		for i := range palette {
			palette[i] = color.NRGBA{byte(i * 7), byte(255 - i), byte(i * i), 255}
		}
		for _, repeat := range []int{1, 9, 400} { // Short, long and the longest strings of codes.
			p := image.NewPaletted(image.Rect(0, 0, 157, 121), palette)
			seed := uint32(bits)
			for i := range p.Pix {
				if i%repeat == 0 {
					seed = seed*1664525 + 1013904223
				}
				p.Pix[i] = byte(seed>>16) & byte(len(palette)-1)
			}
			b := codectest.GIF(t, &gif.GIF{Image: []*image.Paletted{p}})
			want, err := gif.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4*157*121)
			if err := parseGIF(b, geometry.Size{W: 157, H: 121}).draw(got, 1); err != nil {
				t.Fatalf("%d bits: %v", bits, err)
			}
			sameAs(t, fmt.Sprintf("%d bits, runs of %d", bits, repeat), got, want)
			laced := bytes.Clone(b)
			at := bytes.LastIndex(laced, []byte("\x2c\x00\x00\x00\x00\x9d\x00\x79\x00"))
			laced[at+9] |= 0x40
			if want, err = gif.Decode(bytes.NewReader(laced)); err != nil {
				t.Fatal(err)
			}
			if err := parseGIF(laced, geometry.Size{W: 157, H: 121}).draw(got, 1); err != nil {
				t.Fatalf("%d bits, interlaced: %v", bits, err)
			}
			sameAs(t, fmt.Sprintf("%d bits, runs of %d, interlaced", bits, repeat), got, want)
		}
	}
}

func wantColour(t *testing.T, img *image.NRGBA, at image.Point, want color.NRGBA) {
	t.Helper()
	if got := img.NRGBAAt(at.X, at.Y); !codectest.Near(got, want, 0) {
		t.Errorf("the pixel at %v is %v, want %v", at, got, want)
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

func FuzzGIF(f *testing.F) {
	f.Add(codectest.Movie(f, 3))
	f.Add(codectest.GIF(f, &gif.GIF{
		Config: image.Config{Width: 9, Height: 9},
		Image:  []*image.Paletted{codectest.Patch(image.Rect(2, 3, 7, 8), codectest.Red)},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := sniff.Inspect(b)
		if err != nil || in.Format != "gif" || in.Pixels() > 1<<16 {
			return
		}
		g := parseGIF(b, geometry.Size{W: in.Width, H: in.Height})
		if len(g.frames) != in.Frames && len(g.frames) > 0 {
			t.Fatalf("%d frames, the header reader saw %d", len(g.frames), in.Frames)
		}
		g.whole()
		n := min(len(g.frames), 4)
		_ = g.draw(make([]byte, int(in.Pixels())*4*n), n)
	})
}
