// Package specimen draws small pictures for checks of encoders. It uses only integer arithmetic, so they are the same
// on every machine.
package specimen

// Side is the width and height of a specimen.
const Side = 256

// Specimen is one of the pictures. It is either a drawing, or resembles a photo: overlapping surfaces with textures of
// the spectrum of photos.
type Specimen struct {
	Name  string
	Print bool // a drawing with print
	scene scene
	page  page
}

// scene describes a specimen that resembles a photo. Shares are in 256ths.
type scene struct {
	seed         uint32
	leaves       int // surfaces
	least, most  int // their radius in pixels
	texture      int // strength of the textures
	fine         int // of their finest octaves, as a share of the coarse ones
	colour       int // how far the surfaces are from grey
	dark, bright int // the range of their brightness
	soft         int // how often everything is blurred
	sharp        int // number of surfaces in front that are not blurred
	grain        int // strength of the sensor noise
}

// page describes a specimen of print.
type page struct {
	seed       uint32
	paper, ink [3]uint8
	size       int // of the letters, in pixels
	grain      int
	boxes      bool // plain areas and gradients
}

// All returns the specimens with which encoders are checked.
func All() []Specimen {
	white, black := [3]uint8{252, 252, 250}, [3]uint8{24, 24, 30}
	return []Specimen{
		{Name: "foliage", scene: scene{seed: 1, leaves: 700, least: 3, most: 30, texture: 44, fine: 200, colour: 70, dark: 20, bright: 200, soft: 1, grain: 2}},
		{Name: "street", scene: scene{seed: 2, leaves: 90, least: 8, most: 70, texture: 22, fine: 190, colour: 40, dark: 30, bright: 235, grain: 2}},
		{Name: "portrait", scene: scene{seed: 3, leaves: 60, least: 20, most: 90, texture: 18, fine: 150, colour: 50, dark: 40, bright: 210, soft: 10, sharp: 8, grain: 2}},
		{Name: "shore", scene: scene{seed: 4, leaves: 120, least: 6, most: 100, texture: 34, fine: 180, colour: 50, dark: 60, bright: 220, soft: 3, sharp: 4, grain: 1}},
		{Name: "dusk", scene: scene{seed: 5, leaves: 260, least: 4, most: 50, texture: 34, fine: 190, colour: 40, dark: 10, bright: 130, soft: 1, grain: 2}},
		{Name: "market", scene: scene{seed: 6, leaves: 220, least: 5, most: 50, texture: 26, fine: 200, colour: 110, dark: 30, bright: 220, soft: 1, grain: 2}},
		{Name: "page", Print: true, page: page{seed: 7, paper: white, ink: black, size: 12}},
		{Name: "scan", Print: true, page: page{seed: 8, paper: [3]uint8{228, 222, 208}, ink: [3]uint8{52, 46, 50}, size: 16, grain: 5}},
		{Name: "screen", Print: true, page: page{seed: 9, paper: white, ink: [3]uint8{40, 60, 140}, size: 14, boxes: true}},
	}
}

// Draw returns the samples of a specimen: Side rows of Side pixels of red, green and blue.
func (p Specimen) Draw() []byte {
	if p.Print {
		return p.page.draw()
	}
	return p.scene.draw()
}

// dice is a pseudo-random sequence (xorshift, Marsaglia 2003).
type dice uint32

func (d *dice) next() uint32 {
	x := uint32(*d)
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	*d = dice(x)
	return x
}

// below returns a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.next() >> 8 % uint32(n)) }

// between returns a number from a to b.
func (d *dice) between(a, b int) int { return a + d.below(b-a+1) }

func newDice(seed uint32) *dice {
	d := dice(seed*2654435761 + 1)
	for range 8 {
		d.next()
	}
	return &d
}

// clouds returns noise that tiles: octaves of equal strength, which is the spectrum of photos, except for the finest
// two, which are reduced by fine. The mean absolute value is about 256.
func clouds(seed uint32, fine int) []int {
	const side = Side
	out, d := make([]int, side*side), newDice(seed)
	for cell := side / 2; cell >= 1; cell /= 2 {
		n := side / cell
		lattice := make([]int, n*n)
		for i := range lattice {
			lattice[i] = d.between(-256, 256)
		}
		weight := 256
		for c := 4; c > cell; c /= 2 {
			weight = weight * fine / 256
		}
		for y := range side {
			y0, fy := y/cell, y%cell*256/cell
			y1 := (y0 + 1) % n
			for x := range side {
				x0, fx := x/cell, x%cell*256/cell
				x1 := (x0 + 1) % n
				top := lattice[y0*n+x0]*(256-fx) + lattice[y0*n+x1]*fx
				low := lattice[y1*n+x0]*(256-fx) + lattice[y1*n+x1]*fx
				out[y*side+x] += (top*(256-fy) + low*fy) / 65536 * weight / 256
			}
		}
	}
	return out
}

// draw draws surfaces over each other, later ones in front.
func (s scene) draw() []byte {
	const side = Side
	d := newDice(s.seed + 200)
	c := canvas{make([]int, 3*side*side), clouds(s.seed, s.fine), clouds(s.seed+100, s.fine/4)}
	s.leaf(c, d, side/2, side/2, side)
	for range s.leaves {
		s.leaf(c, d, d.below(side), d.below(side), s.radius(d))
	}
	for range s.soft {
		blurred(c.samples, side)
	}
	for range s.sharp {
		s.leaf(c, d, d.below(side), d.below(side), s.least)
	}
	if s.soft == 0 {
		blurred(c.samples, side) // No lens draws sharp steps.
	}
	return grained(c.samples, s.grain, d)
}

// canvas is a picture, in 16ths, with the textures of its surfaces.
type canvas struct{ samples, light, tint []int }

// radius is more often small than large: at least twice as wide surfaces are half as many.
func (s scene) radius(d *dice) int {
	r := s.least
	for r < s.most && d.below(2) == 0 {
		r = min(r*2, s.most)
	}
	return d.between(r*3/4, r)
}

// leaf draws one surface: an ellipse with a lighter side and a texture.
func (s scene) leaf(on canvas, d *dice, cx, cy, radius int) {
	const side = Side
	base := d.between(s.dark, s.bright)
	colour := [3]int{d.between(-s.colour, s.colour), d.between(-s.colour, s.colour) / 2, d.between(-s.colour, s.colour)}
	dx, dy, texture := d.below(side), d.below(side), d.between(s.texture/3, s.texture)
	tall, slope := d.between(160, 400), d.between(-24, 24)
	for y := max(cy-2*radius, 0); y < min(cy+2*radius, side); y++ {
		for x := max(cx-2*radius, 0); x < min(cx+2*radius, side); x++ {
			u, v := x-cx, (y-cy)*256/tall
			if u*u+v*v > radius*radius {
				continue
			}
			at := (y+dy)%side*side + (x+dx)%side
			l := base*16 + on.light[at]*texture/16*max(base, 40)/128 + slope*(u+v)*16/max(radius, 1)
			c := on.tint[at] * texture / 64
			i := 3 * (y*side + x)
			on.samples[i], on.samples[i+1], on.samples[i+2] = l+colour[0]*16+c, l+colour[1]*16, l+colour[2]*16-c
		}
	}
}

// blurred averages each sample with its neighbours with weights 1 2 1, along rows, then columns.
func blurred(samples []int, side int) {
	pass := func(start, step int) {
		before := samples[start]
		for k := range side {
			i := start + k*step
			after := samples[min(i+step, start+(side-1)*step)]
			own := samples[i]
			samples[i] = (before + 2*own + after + 2) / 4
			before = own
		}
	}
	for line := range side {
		for b := range 3 {
			pass(3*line*side+b, 3)
		}
	}
	for column := range side {
		for b := range 3 {
			pass(3*column+b, 3*side)
		}
	}
}

// draw draws lines of strokes that are as dense as letters.
func (p page) draw() []byte {
	const side = Side
	samples, d := make([]int, 3*side*side), newDice(p.seed)
	fill := func(x0, y0, x1, y1 int, colour func(x, y, b int) int) {
		for y := max(y0, 0); y < min(y1, side); y++ {
			for x := max(x0, 0); x < min(x1, side); x++ {
				for b := range 3 {
					samples[3*(y*side+x)+b] = colour(x, y, b) * 16
				}
			}
		}
	}
	fill(0, 0, side, side, func(_, _, b int) int { return int(p.paper[b]) })
	first := p.size
	if p.boxes {
		fill(0, 0, side, 24, func(x, _, b int) int { return [3]int{30, 90, 180}[b] + x/4 })
		fill(150, 40, 240, 130, func(x, y, b int) int { return [3]int{220, 60 + (y-40)/2, 40 + (x-150)/2}[b] })
		fill(150, 150, 240, 230, func(x, y, b int) int { return [3]int{60, 170, 110}[b] })
		first = 34
	}
	ink := func(_, _, b int) int { return int(p.ink[b]) }
	for y := first; y+p.size < side; y += p.size * 3 / 2 {
		end := side - p.size
		if p.boxes {
			end = 138
		}
		for x := p.size / 2; x < end; x += p.size * 5 / 8 {
			p.letter(d, fill, ink, x, y)
		}
	}
	blurred(samples, side)
	return grained(samples, p.grain, d)
}

// grained converts samples in sixteenths to bytes, with sensor noise that is equal for the three samples of a pixel.
func grained(samples []int, grain int, d *dice) []byte {
	out := make([]byte, len(samples))
	for i := 0; i < len(samples); i += 3 {
		noise := d.between(-16*grain, 16*grain)
		for b := range 3 {
			out[i+b] = byte(min(max((samples[i+b]+noise+8)/16, 0), 255))
		}
	}
	return out
}

// letter draws up to four strokes of a letter in its cell, or none for a space.
func (p page) letter(d *dice, fill func(x0, y0, x1, y1 int, colour func(x, y, b int) int), ink func(x, y, b int) int, x, y int) {
	which := d.below(32)
	if which < 4 {
		return
	}
	w, h, stroke := p.size*4/9, p.size*3/4, max(p.size/7, 1)
	if which&1 != 0 {
		fill(x, y, x+stroke, y+h, ink)
	}
	if which&2 != 0 {
		fill(x+w-stroke, y+h/3, x+w, y+h, ink)
	}
	if which&4 != 0 {
		fill(x, y+h/2, x+w, y+h/2+stroke, ink)
	}
	if which&8 != 0 {
		fill(x, y+h-stroke, x+w, y+h, ink)
	}
	if which&16 != 0 {
		for k := range h {
			fill(x+k*(w-stroke)/h, y+k, x+k*(w-stroke)/h+stroke, y+k+1, ink)
		}
	}
}
