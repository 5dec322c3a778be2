package render

import (
	"math"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// maxMark is the longest side of a scaled watermark, which may leave the picture where only its other side is limited.
const maxMark = 100_000

// mark draws the watermark over the picture, after all other steps.
func (r *renderer) mark() error {
	m := r.job.Spec.Watermark
	if m.Opacity == 0 {
		return nil
	}
	if r.job.Mark == nil {
		return fault.New(fault.UnsupportedOption, "codec.mark", variant.NoWatermark, nil)
	}
	if size := markSize(r.job.Mark.Size(), r.im.Size(), m); max(size.W, size.H) > maxMark {
		return fault.New(fault.BadOption, "codec.mark", "the watermark is too long for its scale", nil)
	}
	if err := r.overlay(m); err != nil {
		return vips.Internal("codec.mark", err)
	}
	return nil
}

func (r *renderer) overlay(m variant.Watermark) error {
	if r.im.Facts().Grey {
		if err := r.im.ToRGB(); err != nil {
			return err
		}
	}
	whole := r.im.Size()
	layer, at, err := layerOf(r.job.Mark, m, whole, r.plan.Dpr)
	if err != nil {
		return err
	}
	defer layer.Free()
	seen := at.Inside(whole)
	if seen.W <= 0 || seen.H <= 0 { // Its offset puts it completely outside.
		return nil
	}
	if seen != at {
		if err := layer.Extract(geometry.Rect{X: seen.X - at.X, Y: seen.Y - at.Y, W: seen.W, H: seen.H}); err != nil {
			return err
		}
	}
	if err := layer.Embed(seen.X, seen.Y, whole, make([]float64, 4)); err != nil {
		return err
	}
	return r.im.Over(layer)
}

// layerOf returns the watermark, or its tiles, as drawn, and its position on a picture of size whole.
func layerOf(mark *vips.Image, m variant.Watermark, whole geometry.Size, dpr float64) (*vips.Image, geometry.Rect, error) {
	layer := mark.Clone()
	err := layer.Fade(m.Opacity)
	if err == nil {
		err = layer.Resize(markSize(layer.Size(), whole, m))
	}
	place := m.Place
	if err == nil && m.Tiled {
		place = variant.Gravity{} // The tiles are centred: one watermark lies in the middle.
		err = tiled(layer, geometry.Size{W: max(0, geometry.Offset(m.Place.X, whole.W, dpr)), H: max(0, geometry.Offset(m.Place.Y, whole.H, dpr))}, whole)
	}
	if err != nil {
		layer.Free()
		return nil, geometry.Rect{}, err
	}
	return layer, geometry.Position(whole, layer.Size(), place, dpr), nil
}

// tiled repeats a watermark, separated by space, until an odd number of them covers the whole in each direction.
func tiled(im *vips.Image, space, whole geometry.Size) error {
	one := geometry.Size{W: im.Size().W + space.W, H: im.Size().H + space.H}
	if err := im.Embed(space.W/2, space.H/2, one, make([]float64, 4)); err != nil {
		return err
	}
	across, down := (whole.W+one.W-1)/one.W|1, (whole.H+one.H-1)/one.H|1
	return im.Replicate(across, down)
}

// markSize is the size of a watermark that fits into its shares of the picture.
func markSize(mark, whole geometry.Size, m variant.Watermark) geometry.Size {
	if m.Width == 0 && m.Height == 0 {
		return mark
	}
	k := math.Inf(1)
	if m.Width > 0 {
		k = m.Width * float64(whole.W) / float64(mark.W)
	}
	if m.Height > 0 {
		k = math.Min(k, m.Height*float64(whole.H)/float64(mark.H))
	}
	return geometry.Size{W: max(1, geometry.ScaleSide(mark.W, k)), H: max(1, geometry.ScaleSide(mark.H, k))}
}
