package codec

import (
	"bytes"
	"errors"
	"image"
	"image/draw"

	"golang.org/x/image/bmp"

	"github.com/goldcrest/goldcrest/fault"
)

// loadBMP decodes a BMP in Go: libvips reads BMP through ImageMagick only, which is blocked. The size was checked before.
func loadBMP(b []byte) (*pixmap, error) {
	img, err := bmp.Decode(bytes.NewReader(b))
	if errors.Is(err, bmp.ErrUnsupported) {
		return nil, fault.New(fault.UnsupportedFormat, "codec.loadBMP", "this kind of BMP is not supported", err)
	}
	if err != nil {
		return nil, undecodable("codec.loadBMP", err)
	}
	samples, opaque := bmpSamples(img)
	out, err := fromPixels(samples, img.Bounds().Dx(), img.Bounds().Dy(), 4)
	if err == nil && opaque {
		if err = out.dropAlpha(); err != nil {
			out.free()
		}
	}
	if err != nil {
		return nil, undecodable("codec.loadBMP", err)
	}
	return out, nil
}

// bmpSamples are the decoded samples as RGBA without premultiplied alpha, copied only where they are laid out otherwise.
func bmpSamples(img image.Image) (samples []byte, opaque bool) {
	switch v := img.(type) {
	case *image.RGBA: // 24 bits: the decoder sets every alpha to full.
		return v.Pix, v.Opaque()
	case *image.NRGBA:
		return v.Pix, v.Opaque()
	}
	out := image.NewNRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)
	return out.Pix, out.Opaque()
}
