package codec

// #include "vips_pixel.h"
import "C"

import (
	"fmt"
	"math"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// maxMark bounds the watermark.
const maxMark = 4_000_000

// Watermark sets the mark that URLs may lay over pictures. It is the operator's file, of any format that is read.
func (c *Codec) Watermark(body []byte) error {
	var made []byte
	spec := variant.Spec{Format: variant.PNG}
	lim := Limits{Pixels: maxMark, ResultPixels: maxMark, Frames: 1}
	var refused error
	err := c.Transform(variant.Original{Body: body}, []variant.Spec{spec}, variant.StageFinal, lim,
		func(_ int, img variant.Image, err error) { made, refused = img.Body, err })
	if err == nil {
		err = refused
	}
	if err != nil {
		return err
	}
	src, err := openMark(made, lim)
	if err != nil {
		return fmt.Errorf("codec.Watermark: %w", err)
	}
	c.mark = src
	return nil
}

// openMark decodes a PNG of our own into memory, as RGBA.
func openMark(body []byte, lim Limits) (*pixmap, error) {
	info, err := sniff.Inspect(body)
	if err != nil {
		return nil, err
	}
	src, err := open(variant.Original{Body: body}, info, lim)
	if err != nil {
		return nil, err
	}
	defer src.close()
	im, err := src.load(loadKey{shrink: 1, scale: 1, pages: 1})
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{im.toRGB, im.addAlpha, im.memory} {
		if err := step(); err != nil {
			im.free()
			return nil, err
		}
	}
	return im, nil
}

// mark lays the watermark over the picture, after everything else.
func (r *renderer) mark() error {
	m := r.job.spec.Watermark
	if m.Opacity == 0 {
		return nil
	}
	if r.job.mark == nil {
		return fault.New(fault.UnsupportedOption, "codec.mark", variant.NoWatermark, nil)
	}
	if err := r.overlay(m); err != nil {
		return internal("codec.mark", err)
	}
	return nil
}

func (r *renderer) overlay(m variant.Watermark) error {
	if r.im.facts().grey {
		if err := r.im.toRGB(); err != nil {
			return err
		}
	}
	whole := r.im.size()
	layer, at, err := layerOf(r.job.mark, m, whole, r.plan.dpr)
	if err != nil {
		return err
	}
	defer layer.free()
	seen := at.inside(whole)
	if seen.W <= 0 || seen.H <= 0 { // Its offset puts all of it outside.
		return nil
	}
	if seen != at {
		if err := layer.extract(rect{seen.X - at.X, seen.Y - at.Y, seen.W, seen.H}); err != nil {
			return err
		}
	}
	if err := layer.embed(seen.X, seen.Y, whole, make([]float64, 4)); err != nil {
		return err
	}
	return r.im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_over(in, layer.p, out) })
}

// inside is the part of an area that lies in a picture of that size; without a side that is more than 0 where there is
// none.
func (r rect) inside(s size) rect {
	x, y := max(r.X, 0), max(r.Y, 0)
	return rect{x, y, min(r.X+r.W, s.W) - x, min(r.Y+r.H, s.H) - y}
}

// layerOf is the mark, or its tiles, as they look, and where they lie on a picture of that size.
func layerOf(mark *pixmap, m variant.Watermark, whole size, dpr float64) (*pixmap, rect, error) {
	layer := mark.clone()
	err := layer.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_mark(in, out, C.double(m.Opacity)) })
	if err == nil && m.Scale > 0 {
		err = layer.resize(markSize(layer.size(), whole, m.Scale))
	}
	place := m.Place
	if err == nil && m.Tiled {
		place = variant.Gravity{} // A mark lies in the middle.
		err = layer.tile(size{max(0, offset(m.Place.X, whole.W, dpr)), max(0, offset(m.Place.Y, whole.H, dpr))}, whole)
	}
	if err != nil {
		layer.free()
		return nil, rect{}, err
	}
	return layer, position(whole, layer.size(), place, dpr), nil
}

// tile repeats a mark, with that space between two, until an odd number of them covers the whole in each direction.
func (im *pixmap) tile(space, whole size) error {
	one := size{im.size().W + space.W, im.size().H + space.H}
	if err := im.embed(space.W/2, space.H/2, one, make([]float64, 4)); err != nil {
		return err
	}
	across, down := (whole.W+one.W-1)/one.W|1, (whole.H+one.H-1)/one.H|1
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_replicate(in, out, C.int(across), C.int(down))
	})
}

// markSize is the size of a mark that fits into that share of the picture.
func markSize(mark, whole size, scale float64) size {
	k := math.Min(scale*float64(whole.W)/float64(mark.W), scale*float64(whole.H)/float64(mark.H))
	return size{max(1, scaleSide(mark.W, k)), max(1, scaleSide(mark.H, k))}
}
