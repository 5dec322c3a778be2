package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/dominant"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// about describes the original, by its file and its picture, instead of a variant.
func (e *Encoder) about() (variant.Image, error) {
	samples, err := e.Pic.Im.Samples()
	if err != nil {
		return variant.Image{}, vips.Internal("codec.about", err)
	}
	in, upright := e.Src.Info, e.Src.Exif.Of(e.Src.Stored)
	d := about.Document{
		Format: in.Format, Width: upright.W, Height: upright.H, Size: e.Src.Bytes(),
		Orientation: in.Orientation, Frames: in.Frames, Alpha: e.Pic.Alpha,
		Placeholder: e.Pic.Placeholder(variant.Info, variant.Color{}),
		Dominant:    dominant.Colour(samples, e.Pic.Im.Facts().Bands),
	}
	if v := e.Choices.Look(e.Pic); v != nil {
		d.Kind = string(v.Kind)
	}
	body, err := d.Encode()
	if err != nil {
		return variant.Image{}, vips.Internal("codec.about", err)
	}
	return variant.Image{
		Body: body, Format: variant.Info, Width: e.Pic.Size.W, Height: e.Pic.Size.H, Frames: 1,
		SourceFormat: in.Format, SourceWidth: upright.W, SourceHeight: upright.H, SourceFrames: 1,
	}, nil
}
