package codectest

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"testing"
)

// GIF encodes frames.
func GIF(t testing.TB, g *gif.GIF) []byte {
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

// Patch is a frame of one colour.
func Patch(r image.Rectangle, c color.NRGBA) *image.Paletted {
	p := image.NewPaletted(r, color.Palette{Black, c})
	for i := range p.Pix {
		p.Pix[i] = 1
	}
	return p
}

// Movie is a GIF of n frames, each with a bar at another position on a transparent background. The delays rise, and the
// loop count is 3.
func Movie(t testing.TB, n int) []byte {
	t.Helper()
	g := gif.GIF{LoopCount: 2}
	palette := color.Palette{color.NRGBA{}, Red, Green, Blue}
	for i := range n {
		frame := image.NewPaletted(image.Rect(0, 0, 60, 40), palette)
		for y := range 40 {
			for x := range 60 / n {
				frame.SetColorIndex(i*60/n+x, y, uint8(1+i%3))
			}
		}
		g.Image = append(g.Image, frame)
		g.Delay = append(g.Delay, 5+5*i)
		g.Disposal = append(g.Disposal, gif.DisposalBackground)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
