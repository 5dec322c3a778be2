package codec

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/variant"
)

// maxMark bounds the watermark.
const maxMark = 4_000_000

// Watermark sets the mark that URLs may lay over pictures. It is the operator's file, of any format that is read.
func (c *Codec) Watermark(body []byte) error {
	lim := Limits{Pixels: maxMark, ResultPixels: maxMark, Frames: 1}
	pic, err := render.Alone(body, variant.Spec{Format: variant.PNG}, lim)
	if err != nil {
		return err
	}
	defer pic.Free()
	im := pic.Im.Clone()
	for _, step := range []func() error{im.ToRGB, im.AddAlpha, im.Memory} {
		if err := step(); err != nil {
			im.Free()
			return fmt.Errorf("codec.Watermark: %w", err)
		}
	}
	c.mark = im
	return nil
}
