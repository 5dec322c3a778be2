package codec

import (
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// mark is the picture of a watermark; nil = there is none. It is decoded once for a call, which frees it.
func (c *call) mark(w variant.Watermark) (*vips.Image, error) {
	body := c.given[w.Mark]
	if im := c.marks[w.Mark]; w.Opacity == 0 || body == nil || im != nil {
		return im, nil
	}
	im, err := readMark(body)
	if err != nil {
		return nil, transform.BadMark(err)
	}
	if c.marks == nil {
		c.marks = map[string]*vips.Image{}
	}
	c.marks[w.Mark] = im
	return im, nil
}

// readMark decodes the file of a watermark.
func readMark(body []byte) (*vips.Image, error) {
	lim := Limits{Pixels: transform.MarkPixels, ResultPixels: transform.MarkPixels, Frames: 1}
	pic, err := render.Alone(body, variant.Spec{Format: variant.PNG}, lim)
	if err != nil {
		return nil, err
	}
	defer pic.Free()
	im := pic.Im.Clone()
	for _, step := range []func() error{im.ToRGB, im.AddAlpha, im.Memory} {
		if err := step(); err != nil {
			im.Free()
			return nil, vips.Internal("codec.readMark", err)
		}
	}
	return im, nil
}

// freeMarks frees what mark read.
func (c *call) freeMarks() {
	for _, im := range c.marks {
		im.Free()
	}
}
