package codec

// #include "vips_load.h"
import "C"

import (
	"fmt"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// Raster is the picture of a variant as an encoder gets it: upright, 8-bit sRGB or grey, without alpha. Programs that
// measure the codec encode it as often as they like. It is not safe for concurrent use, and Free gives its memory back.
type Raster struct{ im *pixmap }

// Encoding is what an encoder is told: the format, its q (1..100; PNG is lossless and has none), its effort in libvips'
// scale, and full colours: 4:4:4 instead of 4:2:0, and for WebP, which has none, the careful way to halve them.
type Encoding struct {
	Format     variant.Format
	Q, Effort  int
	FullChroma bool
	Lossless   bool // WebP; PNG is always
	Plain      bool // JPEG: as libjpeg chooses the coefficients, which other servers send
}

// Raster renders the pixels that spec makes of original. What is transparent lies on white.
func (c *Codec) Raster(original []byte, spec variant.Spec, lim Limits) (*Raster, error) {
	info, err := sniff.Inspect(original)
	if err != nil {
		return nil, err
	}
	if err := admit(info, lim); err != nil {
		return nil, err
	}
	pic, err := decoded(original, info, spec, lim)
	if err != nil {
		return nil, err
	}
	if pic.alpha {
		if err = pic.im.flatten(colourBands(variant.Color{}, pic.grey)); err == nil {
			err = pic.im.memory()
		}
	}
	if err == nil {
		err = pic.im.bare()
	}
	if err != nil {
		pic.free()
		return nil, internal("codec.Raster", err)
	}
	return &Raster{im: pic.im}, nil
}

// Free gives the picture's memory back.
func (r *Raster) Free() { r.im.free() }

// Size is the picture's width and height in pixels.
func (r *Raster) Size() (width, height int) { s := r.im.size(); return s.W, s.H }

// Crop copies a part of the picture, which must lie inside it.
func (r *Raster) Crop(x, y, width, height int) (*Raster, error) {
	im := r.im.clone()
	err := im.extract(rect{x, y, width, height})
	if err == nil {
		err = im.memory()
	}
	if err != nil {
		im.free()
		return nil, fmt.Errorf("codec.Crop: %w", err)
	}
	return &Raster{im: im}, nil
}

// Encode makes the bytes that a variant of these pixels would be; they belong to the caller.
func (r *Raster) Encode(e Encoding) ([]byte, error) {
	body, err := r.im.save(settings{q: e.Q, effort: e.Effort, fullChroma: e.FullChroma, alphaQ: 100, plain: e.Plain, lossless: e.Format == variant.PNG || e.Lossless}.options(e.Format))
	if err == nil {
		body, err = container.Strip(e.Format, body)
	}
	if err != nil {
		return nil, fmt.Errorf("codec.Encode: %w", err)
	}
	return body, nil
}

// Pixels copies the samples out: row by row, interleaved, one band (grey) or three (sRGB).
func (r *Raster) Pixels() (samples []byte, bands int, err error) {
	if samples, err = r.im.samples(); err != nil {
		return nil, 0, fmt.Errorf("codec.Pixels: %w", err)
	}
	return samples, r.im.facts().bands, nil
}

func (im *pixmap) samples() ([]byte, error) {
	var n C.size_t
	p := C.vips_image_write_to_memory(im.p, &n)
	if p == nil {
		return nil, vipsError()
	}
	defer C.g_free(C.gpointer(p))
	return C.GoBytes(p, C.int(n)), nil
}
