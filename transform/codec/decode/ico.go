package decode

import (
	"errors"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/bmp"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// openICO selects the largest picture of an icon file. A PNG is decoded as a PNG.
func (s *Source) openICO() error {
	icon, ok := sniff.LargestIcon(s.body)
	if !ok {
		return vips.Undecodable("codec.openICO", errors.New("no picture is whole"))
	}
	s.ico = &icon
	if !icon.PNG {
		return nil
	}
	s.body, s.strict = icon.Body, vips.WithoutError
	return checkPNG(s.body)
}

// drawICO decodes the BMP of an icon in Go.
func (s *Source) drawICO() (*vips.Image, error) {
	icon, err := bmp.ParseIcon(s.ico.Body, s.ico.Width, s.ico.Height)
	if err != nil {
		return nil, err
	}
	im, pixels, err := vips.NewPixels(s.ico.Width, s.ico.Height, 4)
	if err != nil {
		return nil, vips.Undecodable("codec.drawICO", err)
	}
	if err = icon.Draw(pixels); err == nil && allOpaque(pixels) {
		err = im.DropAlpha()
	}
	if err != nil {
		im.Free()
		return nil, vips.Undecodable("codec.drawICO", err)
	}
	return im, nil
}
