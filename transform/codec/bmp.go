package codec

import (
	"bytes"
	"image"
	"image/draw"

	"golang.org/x/image/bmp"
)

// loadBMP decodes a BMP in Go: libvips reads BMP through ImageMagick only, which is blocked. The size was checked before.
func loadBMP(b []byte) (*pixmap, error) {
	img, err := bmp.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, undecodable("codec.loadBMP", err)
	}
	box := img.Bounds()
	pixels := image.NewNRGBA(image.Rect(0, 0, box.Dx(), box.Dy()))
	draw.Draw(pixels, pixels.Bounds(), img, box.Min, draw.Src)
	out, err := fromPixels(pixels.Pix, box.Dx(), box.Dy(), 4)
	if err != nil {
		return nil, undecodable("codec.loadBMP", err)
	}
	if pixels.Opaque() {
		if err := out.dropAlpha(); err != nil {
			out.free()
			return nil, undecodable("codec.loadBMP", err)
		}
	}
	return out, nil
}
