package codec

import (
	"math"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// maxSide is the longest side that comes out: what WebP can hold. maxScaled bounds a side before the result is cut out
// of it.
const (
	maxSide   = 16_383
	maxScaled = 1_000_000
)

type size struct{ W, H int }

func (s size) area() int64   { return int64(s.W) * int64(s.H) }
func (s size) swapped() size { return size{s.H, s.W} }

type rect struct{ X, Y, W, H int }

func (r rect) size() size { return size{r.W, r.H} }

// orientation turns a picture clockwise by quarter turns, then mirrors it left to right: one of the eight ways a
// picture can lie.
type orientation struct {
	turns  int // 0..3
	mirror bool
}

// exifOrientation is what makes a picture with that EXIF value upright.
func exifOrientation(exif int) orientation {
	o := orientation{mirror: exif == 2 || exif == 4 || exif == 5 || exif == 7}
	switch exif {
	case 3, 4:
		o.turns = 2
	case 5, 6:
		o.turns = 1
	case 7, 8:
		o.turns = 3
	}
	return o
}

// rotated adds clockwise degrees after o.
func (o orientation) rotated(degrees int) orientation {
	turns := degrees / 90
	if o.mirror { // A turn after a mirror is the opposite turn before it.
		turns = -turns
	}
	return orientation{turns: ((o.turns+turns)%4 + 4) % 4, mirror: o.mirror}
}

// flipped adds mirrorings after o.
func (o orientation) flipped(horizontal, vertical bool) orientation {
	if vertical { // Upside down is half a turn and a mirror.
		o = o.rotated(180)
		o.mirror = !o.mirror
	}
	if horizontal {
		o.mirror = !o.mirror
	}
	return o
}

// of is the size that a stored size has after o; swapping is its own inverse.
func (o orientation) of(s size) size {
	if o.turns%2 == 1 {
		return s.swapped()
	}
	return s
}

// stored maps an area of the oriented picture of size s back to the stored one.
func (o orientation) stored(r rect, s size) rect {
	if o.mirror {
		r.X = s.W - r.X - r.W
	}
	for range o.turns {
		r = rect{r.Y, s.W - r.X - r.W, r.H, r.W}
		s = s.swapped()
	}
	return r
}

// plan is the geometry of one variant, wholly computed before any pixel is read. "Upright" is the source after EXIF
// orientation and the URL's rotation; the crop happens there. "Final" is that after the URL's flips; everything after
// the resize happens there.
type plan struct {
	upright orientation // stored -> upright
	final   orientation // stored -> final
	stored  size        // the whole source

	cropSize  size // the crop's size upright; the whole when nothing is cropped
	crop      rect // where it is upright; unknown when cropSmart
	cropSmart bool

	scaled      size // size of the crop after the resize, final
	result      size // cut out of it, final
	resultAt    rect // where; unknown when resultSmart
	resultSmart bool

	canvas  size // after extend
	at      rect // where the result lies on the canvas
	padding variant.Padding
	out     size
	asked   size    // of the whole where it was reduced, since it would have been too long; else nothing
	dpr     float64 // that lengths in the URL are multiplied by
}

// enlarges reports whether the picture becomes larger than it is.
func (p *plan) enlarges() bool { return p.scaled.W > p.cropSize.W || p.scaled.H > p.cropSize.H }

// newPlan computes the geometry of spec for a source of that stored size. Sizes beyond limit pixels are
// result_too_large.
func newPlan(spec variant.Spec, stored size, exif orientation, limit int64) (plan, error) {
	p := plan{stored: stored, upright: exif.rotated(spec.Rotate)}
	p.final = p.upright.flipped(spec.FlipH, spec.FlipV)
	whole := p.upright.of(stored)
	p.cropSize = size{cropSide(whole.W, spec.Crop.Width), cropSide(whole.H, spec.Crop.Height)}
	if p.cropSize != whole {
		g := spec.Gravity
		if spec.Crop.GravitySet {
			g = spec.Crop.Gravity
		}
		p.cropSmart = g.Kind == variant.Smart
		p.crop = place(whole, p.cropSize, g, 1)
	} else {
		p.crop = rect{0, 0, whole.W, whole.H}
	}
	w, h, dpr := scaleOf(spec, p.cropSize)
	p.scaled = size{max(1, scaleSide(p.cropSize.W, w)), max(1, scaleSide(p.cropSize.H, h))}
	p.layOut(spec, dpr)
	w, h, dpr = p.bounded(spec, w, h, dpr)
	p.shorten(spec, w, h, dpr, limit)
	if p.out.W > maxSide || p.out.H > maxSide || p.scaled.W > maxScaled || p.scaled.H > maxScaled || p.out.area() > limit {
		return plan{}, fault.New(fault.ResultTooLarge, "codec.newPlan", "the picture asked for is too large", nil)
	}
	if p.resultSmart && p.scaled.area() > max(limit, stored.area()) {
		return plan{}, fault.New(fault.ResultTooLarge, "codec.newPlan", "the picture asked for is too large before it is cropped", nil)
	}
	return p, nil
}

// shorten reduces a picture that fits its box, but is too long for what can come out: its longer side by itself, or its
// area where that side follows from the one that the URL names. What the URL enlarges, or bounds from below, stays an
// error.
func (p *plan) shorten(spec variant.Spec, w, h, dpr float64, limit int64) {
	if resizeMode(spec, p.cropSize) != variant.Fit || p.enlarges() || spec.MinWidth > 0 || spec.MinHeight > 0 {
		return
	}
	follows := spec.Width > 0 && spec.Height == 0 && p.out.H > p.out.W || spec.Height > 0 && spec.Width == 0 && p.out.W > p.out.H
	short, asked := *p, p.out
	for range 4 { // Rounding may need a second look.
		k := 1.0
		for _, side := range [][2]int{{short.out.W, short.scaled.W}, {short.out.H, short.scaled.H}} {
			if side[0] > maxSide {
				k = math.Min(k, float64(maxSide-side[0]+side[1])/float64(side[1]))
			}
		}
		if area := short.out.area(); follows && area > limit {
			k = math.Min(k, 0.9999*math.Sqrt(float64(limit)/float64(area)))
		}
		if k <= 0 {
			return
		}
		if k == 1 {
			break
		}
		w, h = w*k, h*k
		short.scaled = size{max(1, scaleSide(p.cropSize.W, w)), max(1, scaleSide(p.cropSize.H, h))}
		short.layOut(spec, dpr)
	}
	if short.out != asked && short.out.W <= maxSide && short.out.H <= maxSide && short.out.area() <= limit {
		short.asked = asked
		*p = short
	}
}

// layOut computes what happens after the resize: crop to the result, extension, padding.
func (p *plan) layOut(spec variant.Spec, dpr float64) {
	target := size{scaleSide(spec.Width, dpr*orOne(spec.ZoomX)), scaleSide(spec.Height, dpr*orOne(spec.ZoomY))}
	cut := target
	if spec.Resize == variant.FillDown && !spec.Enlarge {
		cut = fillDown(target, p.scaled)
	}
	p.result = size{orLess(cut.W, p.scaled.W), orLess(cut.H, p.scaled.H)}
	p.resultSmart = p.result != p.scaled && spec.Gravity.Kind == variant.Smart
	p.resultAt = place(p.scaled, p.result, spec.Gravity, dpr)
	p.canvas = p.result
	if spec.Extend {
		p.canvas = size{max(p.result.W, target.W), max(p.result.H, target.H)}
	}
	if spec.ExtendRatio {
		p.canvas = ratioOf(target, p.result)
	}
	p.at = place(p.canvas, p.result, spec.ExtendGravity, dpr)
	pad := func(css int) int { return scaleSide(css, dpr) }
	p.dpr = dpr
	p.padding = variant.Padding{Top: pad(spec.Padding.Top), Right: pad(spec.Padding.Right), Bottom: pad(spec.Padding.Bottom), Left: pad(spec.Padding.Left)}
	p.out = size{p.canvas.W + p.padding.Left + p.padding.Right, p.canvas.H + p.padding.Top + p.padding.Bottom}
}

// ratioOf is the smallest canvas of the box's ratio that holds the result.
func ratioOf(box, result size) size {
	if box.W == 0 || box.H == 0 {
		return result
	}
	ratio := float64(box.W) / float64(box.H)
	return size{max(result.W, scaleSide(result.H, ratio)), max(result.H, scaleSide(result.W, 1/ratio))}
}

// bounded makes all of the result smaller, its padding too, until its longer side is as short as the URL demands.
func (p *plan) bounded(spec variant.Spec, w, h, dpr float64) (newW, newH, newDPR float64) {
	for range 4 { // Rounding may need a second look.
		k := float64(spec.Limits.Side) / float64(max(p.out.W, p.out.H))
		if k == 0 || k >= 1 {
			break
		}
		w, h, dpr = w*k, h*k, dpr*k
		p.scaled = size{max(1, scaleSide(p.cropSize.W, w)), max(1, scaleSide(p.cropSize.H, h))}
		p.layOut(spec, dpr)
	}
	return w, h, dpr
}

// storedScaled is the size after the resize as stored, before the picture is turned.
func (p *plan) storedScaled() size { return p.final.of(p.scaled) }

// shrink is by how much the picture may be shrunk at least in both directions while it is decoded.
func (p *plan) shrink() float64 {
	c := p.final.of(p.cropSize)
	s := p.storedScaled()
	return math.Min(float64(c.W)/float64(s.W), float64(c.H)/float64(s.H))
}

// scaleOf finds the scale in both directions and the device pixel ratio that is left when nothing may be enlarged. The
// rules are imgproxy's: a source smaller than its box keeps its size, and the ratio never enlarges either.
func scaleOf(spec variant.Spec, src size) (w, h, dpr float64) {
	ws, hs := shrinkTo(spec, src)
	ws /= orOne(spec.ZoomX)
	hs /= orOne(spec.ZoomY)
	dpr = orOne(spec.DPR)
	if !spec.Enlarge {
		if least := math.Min(ws, hs); least < 1 {
			ws /= least
			hs /= least
			if !spec.Extend {
				dpr /= least
			}
		}
		dpr = math.Min(dpr, math.Min(ws, hs))
	}
	if least := float64(src.W) / float64(spec.MinWidth); spec.MinWidth > 0 && least < ws {
		ws, hs = least, hs*least/ws
	}
	if least := float64(src.H) / float64(spec.MinHeight); spec.MinHeight > 0 && least < hs {
		ws, hs = ws*least/hs, least
	}
	ws = math.Min(ws/dpr, float64(src.W))
	hs = math.Min(hs/dpr, float64(src.H))
	return 1 / ws, 1 / hs, dpr
}

// shrinkTo is how many times smaller the box is than src, by the resizing type.
func shrinkTo(spec variant.Spec, src size) (ws, hs float64) {
	ws, hs = 1, 1
	if spec.Width > 0 {
		ws = float64(src.W) / float64(spec.Width)
	}
	if spec.Height > 0 {
		hs = float64(src.H) / float64(spec.Height)
	}
	mode := resizeMode(spec, src)
	switch {
	case mode == variant.Force || (spec.Width == 0 && spec.Height == 0):
	case spec.Width == 0:
		ws = hs
	case spec.Height == 0:
		hs = ws
	case mode == variant.Fit:
		ws = math.Max(ws, hs)
		hs = ws
	default:
		ws = math.Min(ws, hs)
		hs = ws
	}
	return ws, hs
}

// resizeMode is the URL's resizing type, with auto decided.
func resizeMode(spec variant.Spec, src size) variant.ResizeMode {
	if spec.Resize == variant.ResizeAuto {
		return autoMode(spec, src)
	}
	return spec.Resize
}

// autoMode is fill when the box and the source are both landscape (or square) or both portrait, else fit.
func autoMode(spec variant.Spec, src size) variant.ResizeMode {
	w, h := spec.Width, spec.Height
	if w == 0 {
		w = src.W
	}
	if h == 0 {
		h = src.H
	}
	if (src.W >= src.H) == (w >= h) {
		return variant.Fill
	}
	return variant.Fit
}

// fillDown is the largest size of the target's shape inside the scaled picture.
func fillDown(target, scaled size) size {
	if target.W == 0 || target.H == 0 {
		return target
	}
	w, h := float64(target.W)/float64(scaled.W), float64(target.H)/float64(scaled.H)
	switch {
	case w > h && w > 1:
		return size{scaled.W, max(1, scaleSide(scaled.W, float64(target.H)/float64(target.W)))}
	case h > w && h > 1:
		return size{max(1, scaleSide(scaled.H, float64(target.W)/float64(target.H))), scaled.H}
	}
	return target
}

// place finds where an inner area lies in an outer one by gravity. The area never leaves the outer one.
func place(outer, inner size, g variant.Gravity, scale float64) rect {
	at := position(outer, inner, g, scale)
	at.X, at.Y = min(max(at.X, 0), outer.W-inner.W), min(max(at.Y, 0), outer.H-inner.H)
	return at
}

// position is place for an area that may leave the outer one; offsets of 1 and more are pixels times scale, below that
// a share of the outer side.
func position(outer, inner size, g variant.Gravity, scale float64) rect {
	free := size{outer.W - inner.W, outer.H - inner.H}
	var x, y int
	if g.Kind == variant.FocusPoint {
		x = int(math.RoundToEven(float64(outer.W)*g.X)) - inner.W/2
		y = int(math.RoundToEven(float64(outer.H)*g.Y)) - inner.H/2
	} else {
		dx, dy := offset(g.X, outer.W, scale), offset(g.Y, outer.H, scale)
		x, y = free.W/2+dx, free.H/2+dy
		switch g.Kind {
		case variant.North, variant.NorthEast, variant.NorthWest:
			y = dy
		case variant.South, variant.SouthEast, variant.SouthWest:
			y = free.H - dy
		}
		switch g.Kind {
		case variant.West, variant.NorthWest, variant.SouthWest:
			x = dx
		case variant.East, variant.NorthEast, variant.SouthEast:
			x = free.W - dx
		}
	}
	return rect{x, y, inner.W, inner.H}
}

func offset(v float64, side int, scale float64) int {
	if math.Abs(v) >= 1 {
		return int(math.RoundToEven(v * scale))
	}
	return int(math.RoundToEven(v * float64(side)))
}

func cropSide(side int, crop float64) int {
	switch {
	case crop == 0:
		return side
	case crop >= 1:
		return min(side, int(math.Min(crop, math.MaxInt32)))
	}
	return max(1, min(side, scaleSide(side, crop)))
}

func scaleSide(side int, scale float64) int {
	return int(math.Min(math.Round(float64(side)*scale), math.MaxInt32))
}

func orOne(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}

func orLess(v, most int) int {
	if v == 0 {
		return most
	}
	return min(v, most)
}
