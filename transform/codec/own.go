package codec

import (
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/bmp"
	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/variant"
)

// drawnScale is the scale at which a drawing is rastered, so that what is cut out of it has the size that it is wanted
// in, and nothing is enlarged. Where a border is cut off first, its own size comes before that.
func (s *source) drawnScale(scaled, cropped size, trims bool) float64 {
	scale := math.Max(float64(scaled.W)/float64(cropped.W), float64(scaled.H)/float64(cropped.H))
	if trims {
		scale = 1
	}
	return math.Min(scale, math.Sqrt(float64(s.svg.MaxPixels())/float64(s.stored.area())))
}

// enlarges reports whether the source may be enlarged for spec: a drawing in vectors has any size.
func (s *source) enlarges(spec variant.Spec) bool { return spec.Enlarge || s.format() == "svg" }

// drawSVG rasters the drawing.
func (s *source) drawSVG(scale float64) (*pixmap, error) {
	at := size{max(1, scaleSide(s.stored.W, scale)), max(1, scaleSide(s.stored.H, scale))}
	im, pixels, err := newPixels(at.W, at.H, 4)
	if err != nil {
		return nil, undecodable("codec.drawSVG", err)
	}
	if err := svg.Open().Draw(s.svg, pixels, at.W, at.H); err != nil {
		im.free()
		return nil, err
	}
	return im, nil
}

// loadBMP decodes a BMP in Go.
func (s *source) loadBMP() (*pixmap, error) {
	f, err := bmp.Parse(s.body, s.info.Width, s.info.Height)
	if err != nil {
		return nil, err
	}
	im, pixels, err := newPixels(f.Width, f.Height, f.Bands())
	if err != nil {
		return nil, undecodable("codec.loadBMP", err)
	}
	err = f.Draw(pixels)
	if err == nil && f.Bands() == 4 && (allOpaque(pixels) ||
		allClear(pixels)) { // Many writers leave alpha at zero and mean a picture.
		err = im.dropAlpha()
	}
	if err != nil {
		im.free()
		return nil, undecodable("codec.loadBMP", err)
	}
	return im, nil
}

// allClear reports whether no pixel of four bytes has any alpha.
func allClear(pixels []byte) bool {
	for i := 3; i < len(pixels); i += 4 {
		if pixels[i] != 0 {
			return false
		}
	}
	return true
}
