package codec

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/decode"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
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
func openMark(body []byte, lim Limits) (*vips.Image, error) {
	src, err := decode.Open(variant.Original{Body: body}, lim)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	im, err := src.Load(decode.LoadKey{Shrink: 1, Scale: 1, Pages: 1})
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{im.ToRGB, im.AddAlpha, im.Memory} {
		if err := step(); err != nil {
			im.Free()
			return nil, err
		}
	}
	return im, nil
}
