// Package geometry plans the geometry of a variant before any pixel is read.
package geometry

// Size is a width and a height in pixels.
type Size struct{ W, H int }

// Area is the number of pixels.
func (s Size) Area() int64 { return int64(s.W) * int64(s.H) }

func (s Size) swapped() Size { return Size{s.H, s.W} }

// Rect is an area; X and Y are its top-left pixel.
type Rect struct{ X, Y, W, H int }

// Size is the size of the area.
func (r Rect) Size() Size { return Size{r.W, r.H} }

// Orientation turns a picture clockwise by quarter turns, then mirrors it left to right. There are eight orientations.
type Orientation struct {
	Turns  int // 0..3
	Mirror bool
}

// EXIF is the orientation that makes a picture with the given EXIF value upright.
func EXIF(exif int) Orientation {
	o := Orientation{Mirror: exif == 2 || exif == 4 || exif == 5 || exif == 7}
	switch exif {
	case 3, 4:
		o.Turns = 2
	case 5, 6:
		o.Turns = 1
	case 7, 8:
		o.Turns = 3
	}
	return o
}

// rotated adds a clockwise rotation in degrees after o.
func (o Orientation) rotated(degrees int) Orientation {
	turns := degrees / 90
	if o.Mirror { // A turn after a mirror is the opposite turn before it.
		turns = -turns
	}
	return Orientation{Turns: ((o.Turns+turns)%4 + 4) % 4, Mirror: o.Mirror}
}

// flipped adds mirrorings after o.
func (o Orientation) flipped(horizontal, vertical bool) Orientation {
	if vertical { // A vertical flip is half a turn and a mirror.
		o = o.rotated(180)
		o.Mirror = !o.Mirror
	}
	if horizontal {
		o.Mirror = !o.Mirror
	}
	return o
}

// Of is the size of a stored size after o; swapping is its own inverse.
func (o Orientation) Of(s Size) Size {
	if o.Turns%2 == 1 {
		return s.swapped()
	}
	return s
}

// Stored maps an area of the oriented picture of size s back to the stored one.
func (o Orientation) Stored(r Rect, s Size) Rect {
	if o.Mirror {
		r.X = s.W - r.X - r.W
	}
	for range o.Turns {
		r = Rect{r.Y, s.W - r.X - r.W, r.H, r.W}
		s = s.swapped()
	}
	return r
}
