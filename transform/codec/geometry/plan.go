package geometry

import (
	"math"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// maxSide is the longest side of a result, the limit of WebP. maxScaled bounds a side before the result is cut out of
// it.
const (
	maxSide   = 16_383
	maxScaled = 1_000_000
)

// Plan is the geometry of one variant, computed completely before any pixel is read. "Upright" is the source after EXIF
// orientation and the URL's rotation; the crop happens there. "Final" is that after the URL's flips; everything after
// the resize happens there.
type Plan struct {
	Upright Orientation // stored -> upright
	Final   Orientation // stored -> final
	Stored  Size        // the whole source

	Crop   Cut  // upright; the whole if nothing is cropped
	Scaled Size // size of the crop after the resize, final
	Result Cut  // of it, final

	Canvas  Size // after extend
	At      Rect // position of the result on the canvas
	Padding variant.Padding
	Out     Size
	Asked   Size    // Out before it was reduced because it was too long; else zero
	Dpr     float64 // the factor for lengths in the URL
}

// Cut is an area that is cut out of a picture.
type Cut struct {
	Size  Size
	At    Rect // unknown if Smart is set
	Smart bool // it is placed by what it shows
}

// Enlarges reports whether the picture is enlarged.
func (p *Plan) Enlarges() bool { return p.Scaled.W > p.Crop.Size.W || p.Scaled.H > p.Crop.Size.H }

// NewPlan computes the geometry of spec for a source of the given stored size. Sizes beyond limit pixels are
// result_too_large.
func NewPlan(spec variant.Spec, stored Size, exif Orientation, limit int64) (Plan, error) {
	p := Plan{Stored: stored, Upright: exif.rotated(spec.Rotate)}
	p.Final = p.Upright.flipped(spec.FlipH, spec.FlipV)
	whole := p.Upright.Of(stored)
	p.Crop.Size = Size{cropSide(whole.W, spec.Crop.Width), cropSide(whole.H, spec.Crop.Height)}
	if p.Crop.Size != whole {
		g := spec.Gravity
		if spec.Crop.GravitySet {
			g = spec.Crop.Gravity
		}
		p.Crop.Smart = g.Kind == variant.Smart
		p.Crop.At = place(whole, p.Crop.Size, g, 1)
	} else {
		p.Crop.At = Rect{0, 0, whole.W, whole.H}
	}
	w, h, dpr := scaleOf(spec, p.Crop.Size)
	p.layOut(spec, w, h, dpr)
	w, h, dpr = p.bounded(spec, w, h, dpr)
	p.shorten(spec, w, h, dpr, limit)
	if p.tooLarge(limit) || p.Scaled.W > maxScaled || p.Scaled.H > maxScaled {
		return Plan{}, fault.New(fault.ResultTooLarge, "codec.newPlan", "the picture asked for is too large", nil)
	}
	if p.Result.Smart && p.Scaled.Area() > max(limit, stored.Area()) {
		return Plan{}, fault.New(fault.ResultTooLarge, "codec.newPlan", "the picture asked for is too large before it is cropped", nil)
	}
	return p, nil
}

// shorten reduces a picture that fits its box but is too large for the output: because its longer side is too long, or
// because its area is too large and that side follows from the one in the URL. If the URL enlarges the picture, or sets
// a minimum size, this stays an error.
func (p *Plan) shorten(spec variant.Spec, w, h, dpr float64, limit int64) {
	if resizeMode(spec, p.Crop.Size) != variant.Fit || p.Enlarges() || spec.MinWidth > 0 || spec.MinHeight > 0 {
		return
	}
	short, asked, area := *p, p.Out, int64(math.MaxInt64)
	if longerFollows(spec, asked) {
		area = limit
	}
	for range 4 { // Rounding may need another round.
		k := short.excess(area)
		if k <= 0 {
			return
		}
		if k == 1 {
			break
		}
		w, h = w*k, h*k
		short.layOut(spec, w, h, dpr)
	}
	if short.Out != asked && !short.tooLarge(limit) {
		short.Asked = asked
		*p = short
	}
}

// longerFollows reports whether the URL names only the shorter side of the output.
func longerFollows(spec variant.Spec, out Size) bool {
	return spec.Width > 0 && spec.Height == 0 && out.H > out.W || spec.Height > 0 && spec.Width == 0 && out.W > out.H
}

// excess is the factor for the scale with which the output has sides of at most maxSide, and at most area pixels.
func (p *Plan) excess(area int64) float64 {
	k := 1.0
	for _, side := range [][2]int{{p.Out.W, p.Scaled.W}, {p.Out.H, p.Scaled.H}} {
		if side[0] > maxSide {
			k = math.Min(k, float64(maxSide-side[0]+side[1])/float64(side[1]))
		}
	}
	if have := p.Out.Area(); have > area {
		k = math.Min(k, 0.9999*math.Sqrt(float64(area)/float64(have)))
	}
	return k
}

// tooLarge reports whether the output cannot be made.
func (p *Plan) tooLarge(limit int64) bool {
	return p.Out.W > maxSide || p.Out.H > maxSide || p.Out.Area() > limit
}

// layOut computes the resize by w and h and the steps after it: crop to the result, extension, padding.
func (p *Plan) layOut(spec variant.Spec, w, h, dpr float64) {
	p.Scaled = Size{max(1, ScaleSide(p.Crop.Size.W, w)), max(1, ScaleSide(p.Crop.Size.H, h))}
	target := Size{ScaleSide(spec.Width, dpr*orOne(spec.ZoomX)), ScaleSide(spec.Height, dpr*orOne(spec.ZoomY))}
	cut := target
	if spec.Resize == variant.FillDown && !spec.Enlarge {
		cut = fillDown(target, p.Scaled)
	}
	p.Result.Size = Size{orLess(cut.W, p.Scaled.W), orLess(cut.H, p.Scaled.H)}
	p.Result.Smart = p.Result.Size != p.Scaled && spec.Gravity.Kind == variant.Smart
	p.Result.At = place(p.Scaled, p.Result.Size, spec.Gravity, dpr)
	p.Canvas = p.Result.Size
	if spec.Extend {
		p.Canvas = Size{max(p.Result.Size.W, target.W), max(p.Result.Size.H, target.H)}
	}
	if spec.ExtendRatio {
		p.Canvas = ratioOf(target, p.Result.Size)
	}
	p.At = place(p.Canvas, p.Result.Size, spec.ExtendGravity, dpr)
	pad := func(css int) int { return ScaleSide(css, dpr) }
	p.Dpr = dpr
	p.Padding = variant.Padding{Top: pad(spec.Padding.Top), Right: pad(spec.Padding.Right), Bottom: pad(spec.Padding.Bottom), Left: pad(spec.Padding.Left)}
	p.Out = Size{p.Canvas.W + p.Padding.Left + p.Padding.Right, p.Canvas.H + p.Padding.Top + p.Padding.Bottom}
}

// ratioOf is the smallest canvas with the box's aspect ratio that holds the result.
func ratioOf(box, result Size) Size {
	if box.W == 0 || box.H == 0 {
		return result
	}
	ratio := float64(box.W) / float64(box.H)
	return Size{max(result.W, ScaleSide(result.H, ratio)), max(result.H, ScaleSide(result.W, 1/ratio))}
}

// bounded scales the result with its padding down until its longer side is within the URL's limit.
func (p *Plan) bounded(spec variant.Spec, w, h, dpr float64) (newW, newH, newDPR float64) {
	for range 4 { // Rounding may need another round.
		k := float64(spec.Limits.Side) / float64(max(p.Out.W, p.Out.H))
		if k == 0 || k >= 1 {
			break
		}
		w, h, dpr = w*k, h*k, dpr*k
		p.layOut(spec, w, h, dpr)
	}
	return w, h, dpr
}

// StoredScaled is the size after the resize in stored orientation, before the picture is turned.
func (p *Plan) StoredScaled() Size { return p.Final.Of(p.Scaled) }

// Shrink is the factor by which the picture can be shrunk in both directions during decoding.
func (p *Plan) Shrink() float64 {
	c := p.Final.Of(p.Crop.Size)
	s := p.StoredScaled()
	return math.Min(float64(c.W)/float64(s.W), float64(c.H)/float64(s.H))
}

// scaleOf returns the scale in both directions, and the device pixel ratio that remains if nothing may be enlarged. The
// rules are imgproxy's: a source smaller than its box keeps its size, and the ratio does not enlarge it either.
func scaleOf(spec variant.Spec, src Size) (w, h, dpr float64) {
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

// shrinkTo is how many times smaller the box is than src, for the resizing type.
func shrinkTo(spec variant.Spec, src Size) (ws, hs float64) {
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

// resizeMode is the URL's resizing type; auto is resolved.
func resizeMode(spec variant.Spec, src Size) variant.ResizeMode {
	if spec.Resize == variant.ResizeAuto {
		return autoMode(spec, src)
	}
	return spec.Resize
}

// autoMode is fill if the box and the source are both landscape (or square) or both portrait, else fit.
func autoMode(spec variant.Spec, src Size) variant.ResizeMode {
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

// fillDown is the largest size with the target's aspect ratio inside the scaled picture.
func fillDown(target, scaled Size) Size {
	if target.W == 0 || target.H == 0 {
		return target
	}
	w, h := float64(target.W)/float64(scaled.W), float64(target.H)/float64(scaled.H)
	switch {
	case w > h && w > 1:
		return Size{scaled.W, max(1, ScaleSide(scaled.W, float64(target.H)/float64(target.W)))}
	case h > w && h > 1:
		return Size{max(1, ScaleSide(scaled.H, float64(target.W)/float64(target.H))), scaled.H}
	}
	return target
}

// place returns the position of an inner area in an outer one by gravity. The area never leaves the outer one.
func place(outer, inner Size, g variant.Gravity, scale float64) Rect {
	at := Position(outer, inner, g, scale)
	at.X, at.Y = min(max(at.X, 0), outer.W-inner.W), min(max(at.Y, 0), outer.H-inner.H)
	return at
}

// Position is place for an area that may leave the outer one. Offsets of 1 and more are pixels times scale; below that
// they are a share of the outer side.
func Position(outer, inner Size, g variant.Gravity, scale float64) Rect {
	free := Size{outer.W - inner.W, outer.H - inner.H}
	var x, y int
	if g.Kind == variant.FocusPoint {
		x = int(math.RoundToEven(float64(outer.W)*g.X)) - inner.W/2
		y = int(math.RoundToEven(float64(outer.H)*g.Y)) - inner.H/2
	} else {
		dx, dy := Offset(g.X, outer.W, scale), Offset(g.Y, outer.H, scale)
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
	return Rect{x, y, inner.W, inner.H}
}

// Offset converts an offset of a URL to pixels: 1 and more are pixels times scale, below that a share of the side.
func Offset(v float64, side int, scale float64) int {
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
	return max(1, min(side, ScaleSide(side, crop)))
}

// ScaleSide is a side after scaling, rounded.
func ScaleSide(side int, scale float64) int {
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

// EvenTrim widens the area if opposite sides must lose the same; a picture of one colour is not trimmed.
func EvenTrim(found Rect, s Size, t variant.Trim) Rect {
	if found.W == 0 || found.H == 0 {
		return Rect{0, 0, s.W, s.H}
	}
	if t.EqualHor {
		side := min(found.X, s.W-found.X-found.W)
		found.X, found.W = side, s.W-2*side
	}
	if t.EqualVer {
		side := min(found.Y, s.H-found.Y-found.H)
		found.Y, found.H = side, s.H-2*side
	}
	return found
}

// Inside is the part of an area inside a picture of size s. If there is none, one of its sides is not positive.
func (r Rect) Inside(s Size) Rect {
	x, y := max(r.X, 0), max(r.Y, 0)
	return Rect{x, y, min(r.X+r.W, s.W) - x, min(r.Y+r.H, s.H) - y}
}
