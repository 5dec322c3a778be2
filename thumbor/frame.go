package thumbor

import (
	"math"
	"strconv"
	"strings"
)

// frame is what depends on how the picture lies. Ours turns a picture before all that; theirs turns it afterwards.
type frame struct {
	cut                 *cut // nil = the whole
	width, height       string
	horizontal, upright string      // letters of the gravity
	attentive           bool        // smart
	focus               *[2]float64 // overrides them, as shares of the sides
	flipH, flipV        bool
}

// cut is an area at a corner, with its distances from the two edges there. Below 1 they are shares; a side of 0 is
// whole.
type cut struct {
	corner              string
	width, height, x, y float64
}

func (c cut) text() string {
	return "c:" + strings.Join([]string{short(c.width), short(c.height), c.corner, short(c.x), short(c.y)}, ":")
}

// place is the gravity as text; "" = the centre.
func (f frame) place() string {
	switch {
	case f.focus != nil:
		return "fp:" + short(f.focus[0]) + ":" + short(f.focus[1])
	case f.attentive:
		return "sm"
	}
	return f.upright + f.horizontal
}

// turned is the frame of a picture that is turned counterclockwise first.
func (f frame) turned(degrees int) frame {
	for ; degrees > 0; degrees -= 90 {
		f = f.quarter()
	}
	return f
}

// quarter turns the frame by 90 degrees: the left edge becomes the lower one, the upper edge the left one.
func (f frame) quarter() frame {
	g := frame{width: f.height, height: f.width, flipH: f.flipV, flipV: f.flipH, attentive: f.attentive}
	g.horizontal = map[string]string{"no": "we", "so": "ea"}[f.upright]
	g.upright = map[string]string{"we": "so", "ea": "no"}[f.horizontal]
	if f.focus != nil {
		g.focus = &[2]float64{f.focus[1], 1 - f.focus[0]}
	}
	if c := f.cut; c != nil {
		corner := map[string]string{"nowe": "sowe", "sowe": "soea", "soea": "noea", "noea": "nowe"}[c.corner]
		g.cut = &cut{corner, c.height, c.width, c.y, c.x}
	}
	return g
}

// short writes a number with the places that our options keep.
func short(f float64) string { return strconv.FormatFloat(math.Round(f*1e4)/1e4, 'f', -1, 64) }
