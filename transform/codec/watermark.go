package codec

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/variant"
)

// maxMark is the largest number of pixels of the watermark.
const maxMark = 4_000_000

// Watermark sets the picture that URLs may lay over variants. It is a file of the operator, in any supported format.
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
