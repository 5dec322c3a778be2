package judge

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/quantize"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// Levels reduces the picture to n levels and measures the result; suits reports whether LevelsModel applies to it.
func (r *Raster) Levels(n int) (few *Raster, t look.Traits, suits bool, err error) {
	count, err := look.Histogram(r.Im)
	if err != nil {
		return nil, t, false, fmt.Errorf("codec.Levels: %w", err)
	}
	im, t, suits, err := look.Reduce(r.Im, quantize.Tables(&count, n)[n])
	if err != nil {
		return nil, t, false, fmt.Errorf("codec.Levels: %w", err)
	}
	return &Raster{Im: im}, t, suits, nil
}

// Traits measures the picture, which must be at least 32 pixels wide and high.
func (r *Raster) Traits() (look.Traits, error) {
	t, err := look.Measure(r.Im)
	if err != nil {
		return t, fmt.Errorf("codec.Traits: %w", err)
	}
	return t, nil
}

// Raster is the picture of a variant as input for encoders: upright, 8-bit sRGB or grey, without alpha. Programs that
// measure the codec can encode it repeatedly. It is not safe for concurrent use, and Free frees its memory.
type Raster struct{ Im *vips.Image }

// Encoding holds the settings of an encoder. PNG is always lossless.
type Encoding = vips.Saving

// NewRaster renders the pixels of spec from original. Transparent pixels are laid on white.
func NewRaster(original []byte, spec variant.Spec, lim transform.Limits) (*Raster, error) {
	pic, err := render.Alone(original, spec, lim)
	if err != nil {
		return nil, err
	}
	if pic.Alpha {
		if err = pic.Im.Flatten(render.ColourBands(variant.Color{}, pic.Grey)); err == nil {
			err = pic.Im.Memory()
		}
	}
	if err == nil {
		err = pic.Im.Bare()
	}
	if err != nil {
		pic.Free()
		return nil, vips.Internal("codec.Raster", err)
	}
	return &Raster{Im: pic.Im}, nil
}

// Free frees the picture's memory.
func (r *Raster) Free() { r.Im.Free() }

// Size is the picture's width and height in pixels.
func (r *Raster) Size() (width, height int) { s := r.Im.Size(); return s.W, s.H }

// Crop copies a part of the picture, which must lie inside it.
func (r *Raster) Crop(x, y, width, height int) (*Raster, error) {
	im := r.Im.Clone()
	err := im.Extract(geometry.Rect{X: x, Y: y, W: width, H: height})
	if err == nil {
		err = im.Memory()
	}
	if err != nil {
		im.Free()
		return nil, fmt.Errorf("codec.Crop: %w", err)
	}
	return &Raster{Im: im}, nil
}

// Encode returns the bytes of a variant of these pixels; they belong to the caller.
func (r *Raster) Encode(e Encoding) ([]byte, error) {
	e.AlphaQ, e.Lossless = 100, e.Lossless || e.Format == variant.PNG
	body, err := r.Im.Save(e)
	if err == nil {
		body, err = container.Strip(e.Format, body)
	}
	if err != nil {
		return nil, fmt.Errorf("codec.Encode: %w", err)
	}
	return body, nil
}

// Pixels copies the samples: row by row, interleaved, one band (grey) or three (sRGB).
func (r *Raster) Pixels() (samples []byte, bands int, err error) {
	if samples, err = r.Im.Samples(); err != nil {
		return nil, 0, fmt.Errorf("codec.Pixels: %w", err)
	}
	return samples, r.Im.Facts().Bands, nil
}

// Judge makes a judge of encodes, which the caller must close. If print is set, it also scores tiles that contain
// print.
func (r *Raster) Judge(print bool) (*Judge, error) {
	j, err := New(r.Im, print)
	if err == nil && j == nil {
		err = fmt.Errorf("codec.Judge: %w", score.ErrSize)
	}
	return j, err
}
