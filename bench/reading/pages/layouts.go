package pages

import (
	"fmt"
	"image"
	"image/color"
	"math"
)

type layout struct {
	name string
	draw func(s *sheet)
}

func layouts() []layout {
	return []layout{
		{"article", article}, {"receipt", receipt}, {"form", form}, {"screen", lightScreen}, {"dark", darkScreen},
		{"terminal", terminal}, {"table", table}, {"photographed", photographed}, {"scan", scan}, {"slide", slide},
	}
}

// The size of most pages.
const width, height = 1600, 800

func grey(v uint8) color.NRGBA { return color.NRGBA{v, v, v, 255} }

// colours are those of bars and buttons.
var colours = []color.NRGBA{
	{25, 90, 170, 255}, {160, 40, 50, 255}, {30, 120, 80, 255}, {110, 70, 150, 255}, {200, 110, 20, 255},
}

func (s *sheet) colour() color.NRGBA { return colours[s.random.IntN(len(colours))] }

// article is a page of two columns.
func article(s *sheet) {
	s.paper(width, height, grey(uint8(238+s.random.IntN(18))))
	s.fill(60, 90, width-60, 2, grey(20))
	for x := 60; x < width-100; x += width / 2 {
		for y := 170; y < height-50; y += s.line(1) {
			s.fill(x, y, x+width/2-80, 1, grey(35))
		}
	}
	s.grain(3)
}

// receipt is thermal paper: pale letters on a rough ground.
func receipt(s *sheet) {
	const w, h = 900, 1000
	s.paper(w, h, color.NRGBA{232, 230, 224, 255})
	ink := grey(uint8(50 + s.random.IntN(50)))
	s.write(250, 90, 1.6, ink, s.title()+" "+s.title())
	y := 90 + s.line(2)
	for ; y < h-200; y += s.line(1) {
		s.write(50, y, 1, ink, fmt.Sprintf("%d %s %s", 1+s.random.IntN(9), s.title(), s.word()))
		s.write(w-220, y, 1, ink, s.price())
	}
	s.write(50, y+s.line(1), 1.5, ink, "Total")
	s.write(w-280, y+s.line(1), 1.5, ink, s.price())
	s.photo = true
	s.shade(0.85)
	s.grain(9)
}

// form has a coloured bar, small grey labels, and fields with values.
func form(s *sheet) {
	s.paper(width, height, grey(255))
	s.box(image.Rect(0, 0, width, 90), s.colour())
	s.write(40, 60, 1.5, grey(255), s.title()+" "+s.word()+" "+s.word())
	step := s.line(1)*3 + 10
	for y := 130; y+step < height; y += step {
		for x := 40; x < width-100; x += width / 3 {
			s.write(x, y+int(s.px), 0.8, grey(120), s.title()+" "+s.word())
			field := image.Rect(x, y+s.line(1), x+width/3-60, y+s.line(1)*2+14)
			s.box(field, grey(170))
			s.box(field.Inset(2), grey(250))
			s.write(x+12, y+s.line(1)*2, 1, grey(20), s.title()+" "+s.price())
		}
	}
}

func lightScreen(s *sheet) { s.screen(grey(255), grey(243), grey(25), grey(125)) }
func darkScreen(s *sheet)  { s.screen(grey(28), grey(44), grey(225), grey(140)) }

// screen is an application: a list with sub-titles, a side bar and buttons.
func (s *sheet) screen(ground, side, ink, faint color.NRGBA) {
	s.paper(width, height, ground)
	s.box(image.Rect(0, 0, 340, height), side)
	for y := 70; y < height-40; y += s.line(1.8) {
		s.write(40, y, 1, ink, s.title()+" "+s.word())
	}
	for y := 70; y < height-90; y += s.line(3.2) {
		s.fill(380, y, width-420, 1, ink)
		s.fill(380, y+s.line(1), width-420, 0.8, faint)
		c := s.colour()
		s.box(image.Rect(width-300, y-int(s.px), width-60, y+int(s.px)), c)
		s.write(width-280, y+int(s.px/3), 0.9, grey(255), s.title())
	}
}

// terminal is light text on black, some of it coloured.
func terminal(s *sheet) {
	s.paper(width, height, grey(12))
	bright := []color.NRGBA{
		grey(210), grey(210), {90, 200, 90, 255}, {90, 160, 240, 255}, {230, 190, 70, 255}, {230, 90, 90, 255},
	}
	for y := 40; y < height-20; y += s.line(0.9) {
		s.fill(20, y, 400+s.random.IntN(width-400), 1, bright[s.random.IntN(len(bright))])
	}
}

// table has rows in two shades, and numbers.
func table(s *sheet) {
	s.paper(width, height, grey(255))
	step := s.line(1.2)
	for y, row := 0, 0; y < height; y, row = y+step, row+1 {
		ground, ink := grey(255), grey(40)
		switch {
		case row == 0:
			ground, ink = s.colour(), grey(255)
		case row%2 == 0:
			ground = color.NRGBA{230, 238, 248, 255}
		}
		s.box(image.Rect(0, y, width, y+step), ground)
		for x := 30; x < width-100; x += width / 6 {
			cell := s.price()
			if row == 0 || x < width/3 {
				cell = s.title()
			}
			s.write(x, y+step*3/4, 1, ink, cell)
		}
	}
}

// photographed is a page in uneven light, slightly out of focus.
func photographed(s *sheet) {
	s.paper(width, height, color.NRGBA{225, 220, 208, 255})
	for y := 100; y < height-60; y += s.line(1.1) {
		s.fill(90, y, width-90, 1.1, color.NRGBA{45, 42, 50, 255})
	}
	s.photo = true
	s.shade(0.55)
	s.blur()
	s.grain(7)
}

// scan is a page in black and white, with specks.
func scan(s *sheet) {
	s.paper(width, height, grey(255))
	s.fill(100, 110, width-100, 1.8, grey(0))
	for y := 190; y < height-60; y += s.line(1) {
		s.fill(100, y, width-100, 1, grey(0))
	}
	s.grain(40)
	for i := 0; i < len(s.img.Pix); i += 4 {
		v := grey(255)
		if s.img.Pix[i] < 128 || s.random.IntN(4000) == 0 {
			v = grey(0)
		}
		s.img.Pix[i], s.img.Pix[i+1], s.img.Pix[i+2] = v.R, v.G, v.B
	}
}

// slide is text on a landscape.
func slide(s *sheet) {
	s.paper(width, height, grey(0))
	for y := range height {
		for x := range width {
			fx, fy := float64(x), float64(y)
			hill := 60 + 30*math.Sin(fx/190)*math.Cos(fy/130) + 14*math.Sin(fx/7)*math.Sin(fy/9)*fy/height
			s.img.SetNRGBA(x, y, color.NRGBA{clip(int(hill * 0.6)), clip(int(hill)), clip(int(150 - fy/12)), 255})
		}
	}
	s.grain(6)
	s.fill(80, 140, width-80, 2.2, grey(255))
	for y := 260; y < height-60; y += s.line(2) {
		s.fill(110, y, width-110, 1.3, color.NRGBA{245, 240, 220, 255})
	}
	s.photo = true
}

// shade darkens the page towards one corner, to the share least.
func (s *sheet) shade(least float64) {
	size := s.img.Rect.Size()
	for y := range size.Y {
		for x := range size.X {
			light := 1 - (1-least)*float64(x+y)/float64(size.X+size.Y)
			i := s.img.PixOffset(x, y)
			for b := range 3 {
				s.img.Pix[i+b] = uint8(float64(s.img.Pix[i+b]) * light)
			}
		}
	}
}

// blur replaces each sample by the mean of nine.
func (s *sheet) blur() {
	from := append([]uint8(nil), s.img.Pix...)
	size, pitch := s.img.Rect.Size(), s.img.Stride
	for y := 1; y < size.Y-1; y++ {
		for x := 1; x < size.X-1; x++ {
			at := s.img.PixOffset(x, y)
			for i := at; i < at+3; i++ {
				sum := 0
				for _, row := range [...]int{i - pitch, i, i + pitch} {
					sum += int(from[row-4]) + int(from[row]) + int(from[row+4])
				}
				s.img.Pix[i] = uint8(sum / 9)
			}
		}
	}
}
