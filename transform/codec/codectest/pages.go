package codectest

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// Page is a page of small print on tinted paper, with the grain of a scanner.
func Page(w, h int) *image.NRGBA {
	img := Noise(w, h, 7)
	for i := 0; i < len(img.Pix); i += 4 {
		for b := range 3 {
			img.Pix[i+b] = 236 + img.Pix[i+b]/32
		}
	}
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.NRGBA{30, 30, 40, 255}), Face: basicfont.Face7x13}
	for y := 20; y < h-8; y += 17 {
		d.Dot = fixed.P(14, y)
		for d.Dot.X.Ceil() < w-80 {
			d.DrawString("total 12.50 EUR ")
		}
	}
	return img
}

// Meadow is a landscape: hills with soft light and strong colours, with leaves of many sizes in front.
func Meadow(w, h int) *image.NRGBA {
	img, grain := image.NewNRGBA(image.Rect(0, 0, w, h)), Noise(w/8+1, h/8+1, 3)
	for y := range h {
		for x := range w {
			i := img.PixOffset(x, y)
			fx, fy := float64(x), float64(y)
			leaf := float64(grain.Pix[grain.PixOffset(x/8, y/8)]) - 128
			light := 120 + 60*math.Sin(fx/90)*math.Cos(fy/70) + leaf*fy/float64(h)/4*math.Sin(fx/5)*math.Sin(fy/6)
			img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = Clip(light*0.5+fy/9), Clip(light), Clip(light*0.2), 255
		}
	}
	return img
}

// Clip clamps and converts to a sample.
func Clip(v float64) uint8 { return uint8(math.Max(0, math.Min(255, v))) }

// Scan is a clean page of print, half of it empty. It is meant to be scaled down, so that its edges are soft.
func Scan(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	Fill(img, img.Bounds(), color.NRGBA{255, 255, 255, 255})
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.NRGBA{20, 20, 20, 255}), Face: basicfont.Face7x13}
	random := rand.New(rand.NewPCG(1, 2))
	for y := 40; y < h-20; y += 26 {
		d.Dot = fixed.P(40, y)
		for n := random.IntN(w); d.Dot.X.Ceil() < n; {
			d.DrawString(string(rune('a'+random.IntN(26))) + [...]string{"", "", "", " "}[random.IntN(4)])
		}
	}
	return img
}

// Opaque makes transparent pixels white.
func Opaque(img *image.NRGBA) *image.NRGBA {
	for i := 3; i < len(img.Pix); i += 4 {
		if img.Pix[i] == 0 {
			copy(img.Pix[i-3:], []byte{255, 255, 255, 255})
		}
	}
	return img
}
