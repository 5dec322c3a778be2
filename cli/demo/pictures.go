package demo

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"math/rand/v2"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// picture is one original of the demo.
type picture struct {
	name string
	body []byte
}

// drawnPictures are the originals that the demo generates itself: kinds other than photos.
func drawnPictures() ([]picture, error) {
	var out []picture
	for name, img := range map[string]image.Image{"receipt.png": drawReceipt(), "page.png": drawPage(), "sticker-alpha.png": drawSticker()} {
		var buf bytes.Buffer
		if err := png.Encode(&buf, img); err != nil {
			return nil, fmt.Errorf("draw %s: %w", name, err)
		}
		out = append(out, picture{name, buf.Bytes()})
	}
	return out, nil
}

// drawReceipt draws a till receipt as if scanned: small print on paper with grain.
func drawReceipt() image.Image {
	const w, h = 1000, 2400
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	noise := rand.New(rand.NewPCG(1, 2)) // a fixed seed: the picture is the same every time
	for y := range h {
		for x := range w {
			v := uint8(238 + noise.IntN(10) - int(6*math.Abs(float64(x-w/2))/w))
			img.SetRGBA(x, y, color.RGBA{v, v, v - 4, 255})
		}
	}
	write(img, 330, 80, 4, "CORNER SHOP")
	for i := range 40 {
		y := 220 + i*45
		write(img, 80, y, 2, fmt.Sprintf("%02d x  article no. %05d", 1+noise.IntN(4), noise.IntN(99999)))
		write(img, 760, y, 2, fmt.Sprintf("%7.2f", noise.Float64()*40))
	}
	write(img, 80, 2120, 3, "TOTAL              412.60")
	write(img, 80, 2220, 1, "Thank you. Goods may be returned within thirty days with this receipt, unopened.")
	return img
}

// drawPage draws a screenshot-like page: flat areas, sharp edges, lines of text.
func drawPage() image.Image {
	const w, h = 1440, 1024
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	fill(img, img.Bounds(), color.RGBA{250, 250, 252, 255})
	fill(img, image.Rect(0, 0, w, 72), color.RGBA{28, 63, 148, 255})
	fill(img, image.Rect(0, 72, 280, h), color.RGBA{235, 238, 245, 255})
	for i := range 12 {
		write(img, 32, 120+i*44, 1, fmt.Sprintf("menu entry %d", i+1))
	}
	for i := range 6 {
		r := image.Rect(320+(i%3)*370, 110+(i/3)*430, 660+(i%3)*370, 500+(i/3)*430)
		fill(img, r, color.RGBA{255, 255, 255, 255})
		fill(img, image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+120), color.RGBA{uint8(40 * i), uint8(200 - 25*i), 160, 255})
		for l := range 12 {
			write(img, r.Min.X+16, r.Min.Y+150+l*20, 1, "a line of small text that must stay legible")
		}
	}
	return img
}

// drawSticker draws overlapping translucent discs on a transparent background.
func drawSticker() image.Image {
	const side = 1200
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i, c := range []color.NRGBA{{230, 60, 60, 200}, {60, 170, 80, 200}, {60, 90, 220, 200}} {
		a := float64(i) * 2 * math.Pi / 3
		cx, cy := side/2+220*math.Cos(a), side/2+220*math.Sin(a)
		disc := image.NewNRGBA(img.Bounds())
		for y := range side {
			for x := range side {
				if d := math.Hypot(float64(x)-cx, float64(y)-cy); d < 330 {
					disc.SetNRGBA(x, y, c)
				}
			}
		}
		draw.Draw(img, img.Bounds(), disc, image.Point{}, draw.Over)
	}
	return img
}

// fill paints a rectangle.
func fill(img draw.Image, r image.Rectangle, c color.Color) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// write draws one line of text whose pixels are scale dots wide.
func write(img draw.Image, x, y, scale int, text string) {
	face := basicfont.Face7x13
	line := image.NewAlpha(image.Rect(0, 0, face.Advance*len(text), face.Height))
	d := font.Drawer{Dst: line, Src: image.Opaque, Face: face, Dot: fixed.P(0, face.Ascent)}
	d.DrawString(text)
	ink := color.RGBA{40, 40, 48, 255}
	for ly := range line.Rect.Dy() {
		for lx := range line.Rect.Dx() {
			if line.AlphaAt(lx, ly).A > 0 {
				fill(img, image.Rect(x+lx*scale, y+ly*scale, x+(lx+1)*scale, y+(ly+1)*scale), ink)
			}
		}
	}
}
